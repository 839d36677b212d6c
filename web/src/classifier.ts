/** A TensorFlow.js graph model, run in the browser. */

import { GraphModel, loadGraphModel } from "@tensorflow/tfjs-converter";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { env, ready, setBackend, tensor4d, type io, type Tensor } from "@tensorflow/tfjs-core";
import { asset, assetUrl, jsonAsset } from "./assets";
import { blank, SIDE, type Pixels } from "./prepare/image";

export interface Answer {
  /** The model's output: a log-probability a class. */
  readonly scores: readonly number[];
  readonly milliseconds: number;
}

// The backend's build with SIMD, which browsers have had since 2023. Threads need cross-origin
// isolation, which a page on any host can't count on.
const WASM = "tfjs-backend-wasm-simd.wasm";
const BUILDS = [WASM, "tfjs-backend-wasm.wasm", "tfjs-backend-wasm-threaded-simd.wasm"] as const;

/** Readies the WebAssembly backend, once. */
export async function start(): Promise<void> {
  const url = await assetUrl(WASM, "application/wasm");
  setWasmPaths(Object.fromEntries(BUILDS.map((name) => [name, url])));
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (!(await setBackend("wasm"))) throw new Error("This browser can’t run WebAssembly with SIMD.");
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
