/** Pictures of 28 × 28 pixels: shown, and read from a file. */

import { SIDE, type Pixels } from "./prepare/image";

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
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const isExact = bitmap.width === SIDE && bitmap.height === SIDE;
  const scale = SIDE / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.fillStyle = isExact ? "black" : "white";
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  const levels = Float32Array.from({ length: SIDE * SIDE }, (_, index) => data[4 * index]! / 255);
  const isLight = levels.reduce((sum, level) => sum + level, 0) > levels.length / 2;
  return isLight && !isExact ? levels.map((level) => 1 - level) : levels;
}
