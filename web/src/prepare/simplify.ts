/**
 * A drawing as Quick, Draw!'s simplified files have it, from which all its bitmaps are made.
 *
 * "1. Align the drawing to the top-left corner, to have minimum values of 0. 2. Uniformly scale the
 * drawing, to have a maximum value of 255. 3. Resample all strokes with a 1 pixel spacing.
 * 4. Simplify all strokes using the Ramer-Douglas-Peucker algorithm with an epsilon value of 2.0."
 * (https://github.com/googlecreativelab/quickdraw-dataset, "Simplified Drawing files")
 */

import { extent, normalise, type Drawing, type Point, type Stroke } from "../drawing";
import { distance } from "./image";

const MAXIMUM = 255;
const SPACING = 1;
const EPSILON = 2;

export function simplify(drawing: Drawing, padSize: number): Drawing {
  const scaled = normalise(drawing, MAXIMUM / extent(drawing, padSize));
  return scaled.map((stroke) =>
    reduce(resample(stroke)).map(([x, y]): Point => [Math.round(x), Math.round(y)]),
  );
}

/** Points one unit apart along the stroke, its ends kept. */
function resample(stroke: Stroke): Stroke {
  const points: Point[] = [stroke[0]!];
  let missing = SPACING;
  for (let i = 1; i < stroke.length; i++) {
    let from = stroke[i - 1]!;
    const to = stroke[i]!;
    let length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    while (length >= missing) {
      const share = missing / length;
      from = [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share];
      points.push(from);
      length -= missing;
      missing = SPACING;
    }
    missing -= length;
  }
  points.push(stroke[stroke.length - 1]!);
  return points;
}

/** Ramer, Douglas and Peucker: leaves out points nearer than epsilon to the line without them. */
function reduce(stroke: Stroke): Stroke {
  const kept = new Set([0, stroke.length - 1]);
  const open: [number, number][] = [[0, stroke.length - 1]];
  for (let span = open.pop(); span; span = open.pop()) {
    const [first, last] = span;
    let [farthest, most] = [0, EPSILON];
    for (let i = first + 1; i < last; i++) {
      const away = distance(stroke[i]!, stroke[first]!, stroke[last]!);
      if (away > most) [farthest, most] = [i, away];
    }
    if (farthest) {
      kept.add(farthest);
      open.push([first, farthest], [farthest, last]);
    }
  }
  return stroke.filter((_, index) => kept.has(index));
}
