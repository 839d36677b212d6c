/** The models that the page was built with. */

import { asset, jsonAsset } from "./assets";
import { SIDE, type Pixels } from "./prepare/image";

export interface Entry {
  /** The model's name in the model server. */
  readonly name: string;
  /** What one draws for it. */
  readonly title: string;
  readonly labels: readonly string[];
  /** A key of `PREPARATIONS`. */
  readonly preparation: string;
  /** Path of its `model.json`. */
  readonly model: string;
  /** Path of its examples: 784 bytes each. */
  readonly examples: string;
  /** The examples' classes, indices into the labels. */
  readonly exampleLabels: readonly number[];
}

export async function catalogue(): Promise<readonly Entry[]> {
  return (await jsonAsset<{ models: Entry[] }>("catalogue.json")).models;
}

export interface Example {
  readonly label: string;
  readonly pixels: Pixels;
}

export async function examples(entry: Entry): Promise<readonly Example[]> {
  const bytes = new Uint8Array(await asset(entry.examples));
  return entry.exampleLabels.map((label, index) => ({
    label: entry.labels[label]!,
    pixels: Float32Array.from(
      bytes.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE),
      (level) => level / 255,
    ),
  }));
}
