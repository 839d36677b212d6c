/** A drawing as a person makes it: strokes of points, in any unit, y downwards. */

export type Point = readonly [x: number, y: number];
export type Stroke = readonly Point[];
export type Drawing = readonly Stroke[];

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The smallest box around all points; the drawing must have one. */
export function boundingBox(drawing: Drawing): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of drawing.flat()) {
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  return { left, top, width: right - left, height: bottom - top };
}

/** The drawing moved so that its box begins at 0, 0, and scaled. */
export function normalise(drawing: Drawing, scale: number): Drawing {
  const { left, top } = boundingBox(drawing);
  return drawing.map((stroke) =>
    stroke.map(([x, y]): Point => [(x - left) * scale, (y - top) * scale]),
  );
}

/**
 * The longer side of the drawing's box, but not less than a tenth of the pad: a dot would
 * otherwise be blown up to a whole picture.
 */
export function extent(drawing: Drawing, padSize: number): number {
  const { width, height } = boundingBox(drawing);
  return Math.max(width, height, padSize / 10);
}
