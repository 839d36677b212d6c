/**
 * A drawing as Quick, Draw!'s official 28 × 28 bitmaps have it.
 *
 * They are rendered from the simplified drawings (256 × 256) with round lines of diameter 16 and a
 * padding of 16 beside that, centred on the box of the drawing
 * (https://github.com/googlecreativelab/quickdraw-dataset/issues/19, the data set's authors).
 */

import { boundingBox, type Drawing, type Point } from "../drawing";
import { drawRoundLines, quantise, SIDE, type Pixels } from "./image";
import { simplify } from "./simplify";

const ORIGINAL = 256;
const LINE = 16;
const PADDING = 16;
const SCALE = SIDE / (ORIGINAL + 2 * PADDING + LINE);

export function prepareQuickdraw(drawing: Drawing, padSize: number): Pixels {
  const simplified = simplify(drawing, padSize);
  const { width, height } = boundingBox(simplified);
  const start = PADDING + LINE / 2;
  const left = start + (ORIGINAL - width) / 2;
  const top = start + (ORIGINAL - height) / 2;
  const placed = simplified.map((stroke) =>
    stroke.map(([x, y]): Point => [(x + left) * SCALE, (y + top) * SCALE]),
  );
  return quantise(drawRoundLines(placed, LINE * SCALE));
}
