/** How a drawing becomes a model's input: by the rules that made the data it has learnt from. */

import type { Drawing } from "../drawing";
import type { Pixels } from "./image";
import { prepareMnist } from "./mnist";
import { prepareQuickdraw } from "./quickdraw";
import { prepareQuickdrawSample } from "./quickdraw-sample";

export interface Preparation {
  /** For people: what was done to their drawing. */
  readonly caption: string;
  readonly prepare: (drawing: Drawing, padSize: number) => Pixels;
}

export const PREPARATIONS: Readonly<Record<string, Preparation>> = {
  mnist: {
    caption: "Scaled into a box of 20 pixels and centred by its mass, as MNIST’s digits were.",
    prepare: prepareMnist,
  },
  quickdraw: {
    caption: "Cropped, simplified, centred and redrawn in small, as Quick, Draw!’s bitmaps were.",
    prepare: prepareQuickdraw,
  },
  quickdraw_sample: {
    caption: "Cropped, simplified and redrawn with one-pixel lines, as its training data were.",
    prepare: prepareQuickdrawSample,
  },
};
