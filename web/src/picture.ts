/** Pictures of 28 × 28 pixels: shown, and read from a file. */

import { blank, SIDE, type Pixels } from "./prepare/image";

const MAX_FACTOR = 40; // a larger image is first scaled to so many times the side

/** Shows the pixels as the models have them: white ink on black. */
export function show(canvas: HTMLCanvasElement, pixels: Pixels): void {
  canvas.width = canvas.height = SIDE;
  const data = new ImageData(SIDE, SIDE);
  pixels.forEach((level, index) => {
    const grey = Math.round(level * 255);
    data.data.set([grey, grey, grey, 255], index * 4);
  });
  // Kept in memory rather than on the graphics card: it is tiny, and may be read back.
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(data, 0, 0);
}

/**
 * Reads an image file. One of 28 × 28 pixels is taken as it is; any other is scaled into a square
 * of that size, and turned into its negative where it has a light ground.
 */
export async function read(file: Blob): Promise<Pixels> {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const isExact = bitmap.width === SIDE && bitmap.height === SIDE;
  const longer = Math.max(bitmap.width, bitmap.height);
  const factor = Math.min(Math.ceil(longer / SIDE), MAX_FACTOR);
  const side = SIDE * factor;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const [width, height] = [(bitmap.width * side) / longer, (bitmap.height * side) / longer];
  context.fillStyle = isExact ? "black" : "white";
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
  bitmap.close();
  const levels = average(context.getImageData(0, 0, side, side).data, factor);
  const isLight = levels.reduce((sum, level) => sum + level, 0) > levels.length / 2;
  return isLight && !isExact ? levels.map((level) => 1 - level) : levels;
}

/** The mean grey level of each block of so many pixels a side. */
function average(data: Uint8ClampedArray, factor: number): Pixels {
  const side = SIDE * factor;
  const sums = blank();
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = 4 * (y * side + x);
      const index = Math.floor(y / factor) * SIDE + Math.floor(x / factor);
      sums[index]! += (data[at]! + data[at + 1]! + data[at + 2]!) / 3;
    }
  }
  return sums.map((sum) => sum / (255 * factor * factor));
}
