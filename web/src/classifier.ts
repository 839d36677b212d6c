/** A TensorFlow.js graph model, run in the browser. */

import { GraphModel, loadGraphModel } from "@tensorflow/tfjs-converter";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { ready, setBackend, tensor4d, type io, type Tensor } from "@tensorflow/tfjs-core";
import { asset, assetUrl, jsonAsset } from "./assets";
import { blank, SIDE, type Pixels } from "./prepare/image";

export interface Answer {
  /** The model's output: a log-probability a class. */
  readonly scores: readonly number[];
  readonly milliseconds: number;
}

// Which of these the backend takes depends on what the browser can do; threads need headers
// (cross-origin isolation) that a page on any host can't count on.
const WASM_FILES = ["tfjs-backend-wasm-simd.wasm", "tfjs-backend-wasm.wasm"];

/** Readies the WebAssembly backend, once. */
export async function start(): Promise<void> {
  const urls = await Promise.all(WASM_FILES.map((file) => assetUrl(file, "application/wasm")));
  setWasmPaths(Object.fromEntries(WASM_FILES.map((file, index) => [file, urls[index]!])));
  if (!(await setBackend("wasm"))) throw new Error("this browser can’t run WebAssembly");
  await ready();
}

export class Classifier {
  private constructor(private readonly model: GraphModel) {}

  /** Loads the model whose `model.json` is at the path, and runs it once so that it is warm. */
  static async load(path: string): Promise<Classifier> {
    const classifier = new Classifier(await loadGraphModel({ load: () => artifacts(path) }));
    await classifier.classify(blank());
    return classifier;
  }

  async classify(pixels: Pixels): Promise<Answer> {
    const started = performance.now();
    const input = tensor4d(pixels, [1, SIDE, SIDE, 1]);
    const output = this.model.predict(input) as Tensor; // a classifier has one output
    const scores = Array.from(await output.data());
    const milliseconds = performance.now() - started;
    input.dispose();
    output.dispose();
    return { scores, milliseconds };
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** Reads `model.json` and its shards. */
async function artifacts(path: string): Promise<io.ModelArtifacts> {
  const model = await jsonAsset<io.ModelJSON>(path);
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const shards = model.weightsManifest.flatMap((group) => group.paths);
  return {
    modelTopology: model.modelTopology,
    signature: model.signature,
    format: model.format,
    userDefinedMetadata: model.userDefinedMetadata,
    weightSpecs: model.weightsManifest.flatMap((group) => group.weights),
    weightData: await Promise.all(shards.map((shard) => asset(folder + shard))),
  };
}
