/** The models' input: 28 × 28 grey levels from 0 (black, the ground) to 1 (white, the ink). */

import type { Drawing, Point } from "../drawing";

export const SIDE = 28;
export type Pixels = Float32Array; // row by row, SIDE * SIDE

export function blank(): Pixels {
  return new Float32Array(SIDE * SIDE);
}

/** Rounds to the 256 levels that the data have. */
export function quantise(pixels: Pixels): Pixels {
  return pixels.map((level) => Math.round(Math.min(Math.max(level, 0), 1) * 255) / 255);
}

/**
 * Draws round, antialiased lines.
 *
 * The grey level of a pixel is the share of it that a straight edge at the line's distance would
 * cover; a pixel's centre is half a pixel into it.
 */
export function drawRoundLines(drawing: Drawing, width: number): Pixels {
  const pixels = blank();
  const reach = width / 2 + 0.5;
  for (const stroke of drawing) {
    for (let i = 0; i < stroke.length; i++) {
      const from = stroke[Math.max(i - 1, 0)]!;
      const to = stroke[i]!;
      const clamp = (value: number) => Math.min(Math.max(value, 0), SIDE);
      const left = clamp(Math.floor(Math.min(from[0], to[0]) - reach));
      const right = clamp(Math.ceil(Math.max(from[0], to[0]) + reach));
      const top = clamp(Math.floor(Math.min(from[1], to[1]) - reach));
      const bottom = clamp(Math.ceil(Math.max(from[1], to[1]) + reach));
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          const level = reach - distance([x + 0.5, y + 0.5], from, to);
          const index = y * SIDE + x;
          pixels[index] = Math.max(pixels[index]!, Math.min(level, 1));
        }
      }
    }
  }
  return pixels;
}

/** From a point to the nearest of a segment. */
export function distance([x, y]: Point, from: Point, to: Point): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const squared = dx * dx + dy * dy;
  const along = squared ? ((x - from[0]) * dx + (y - from[1]) * dy) / squared : 0;
  const clamped = Math.min(Math.max(along, 0), 1);
  return Math.hypot(x - from[0] - clamped * dx, y - from[1] - clamped * dy);
}
