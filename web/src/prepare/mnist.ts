/**
 * A drawing as MNIST has it.
 *
 * "The original black and white images from NIST were size normalized to fit in a 20x20 pixel box
 * while preserving their aspect ratio. The resulting images contain grey levels as a result of the
 * anti-aliasing technique used by the normalization algorithm. The images were centered in a 28x28
 * image by computing the center of mass of the pixels, and translating the image so as to position
 * this point at the center of the 28x28 field." (LeCun, Cortes, Burges: The MNIST database)
 *
 * Measured on the 10,000 test images: the ink's box is 20 pixels long in all but three; its centre
 * of mass is at pixel 14.0 with a deviation of 0.288, that of rounding to whole pixels; lines are
 * 2.6 pixels wide in the median.
 */

import { boundingBox, extent, normalise, type Drawing, type Point } from "../drawing";
import { blank, drawRoundLines, quantise, SIDE, type Pixels } from "./image";

const BOX = 20;
const LINE = 2.6;
const CENTRE = 14;

export function prepareMnist(drawing: Drawing, padSize: number): Pixels {
  const scaled = normalise(drawing, (BOX - LINE) / extent(drawing, padSize));
  const { width, height } = boundingBox(scaled);
  // In the middle first, so that nothing is cut off before the centre of mass is known.
  const middle = scaled.map((stroke) =>
    stroke.map(([x, y]): Point => [x + (SIDE - width) / 2, y + (SIDE - height) / 2]),
  );
  return quantise(centreMass(drawRoundLines(middle, LINE)));
}

/** Moves an image by whole pixels so that its centre of mass is as near to 14, 14 as can be. */
export function centreMass(pixels: Pixels): Pixels {
  let [mass, massX, massY] = [0, 0, 0];
  pixels.forEach((level, index) => {
    mass += level;
    massX += level * (index % SIDE);
    massY += level * Math.floor(index / SIDE);
  });
  const dx = Math.round(CENTRE - massX / mass);
  const dy = Math.round(CENTRE - massY / mass);
  const moved = blank();
  pixels.forEach((level, index) => {
    const [x, y] = [(index % SIDE) + dx, Math.floor(index / SIDE) + dy];
    if (x >= 0 && x < SIDE && y >= 0 && y < SIDE) moved[y * SIDE + x] = level;
  });
  return moved;
}
