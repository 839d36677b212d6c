// Runs a graph model in Node and prints its answers.
//
//   node run.cjs PACKAGES_DIR MODEL_DIR < job.json > answers.json
//
// TensorFlow.js is that of PACKAGES_DIR/node_modules, since this file may lie where none is.
// A job is {"backends": ["cpu", "wasm"], "cases": [{name: tensor}]}, the answers
// {backend: [{name: tensor}]}; a tensor is {"dtype", "shape", "data": base64 of little-endian values}.
'use strict';

const fs = require('fs');
const {createRequire} = require('module');
const path = require('path');

const [packages, directory] = process.argv.slice(2);
const load = createRequire(path.resolve(packages, 'package.json'));
const tf = load('@tensorflow/tfjs-core');
const {loadGraphModel} = load('@tensorflow/tfjs-converter');
load('@tensorflow/tfjs-backend-cpu');
load('@tensorflow/tfjs-backend-wasm');

const ARRAYS = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

function decode({dtype, shape, data}) {
  const bytes = Buffer.from(data, 'base64');
  const values = new ARRAYS[dtype](new Uint8Array(bytes).buffer);
  return tf.tensor(values, shape, dtype);
}

async function encode(tensor) {
  const values = ARRAYS[tensor.dtype].from(await tensor.data());
  return {dtype: tensor.dtype, shape: tensor.shape, data: Buffer.from(values.buffer).toString('base64')};
}

/** Reads a model from a folder: Node has no fetch of files. */
function handler() {
  return {
    load: async () => {
      const model = JSON.parse(fs.readFileSync(path.join(directory, 'model.json'), 'utf8'));
      const [group] = model.weightsManifest;
      const shards = group.paths.map((name) => fs.readFileSync(path.join(directory, name)));
      const {buffer} = new Uint8Array(Buffer.concat(shards));
      return {...model, weightSpecs: group.weights, weightData: buffer};
    },
  };
}

async function run(model, inputs, signature) {
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [signature.inputs[name].name, decode(tensor)]));
  const names = Object.keys(signature.outputs);
  // The executor knows the nodes, whose names may be others than the signature's.
  const results = await model.executeAsync(tensors, names.map((name) => signature.outputs[name].name));
  const list = Array.isArray(results) ? results : [results];
  const encoded = await Promise.all(list.map(encode));
  tf.dispose([tensors, list]);
  return Object.fromEntries(names.map((name, index) => [name, encoded[index]]));
}

async function main() {
  console.warn = () => {};
  const job = JSON.parse(fs.readFileSync(0, 'utf8'));
  const {signature} = JSON.parse(fs.readFileSync(path.join(directory, 'model.json'), 'utf8'));
  const answers = {};
  for (const backend of job.backends) {
    try {
      if (!(await tf.setBackend(backend))) throw new Error("it doesn't start");
      const model = await loadGraphModel(handler());
      answers[backend] = [];
      for (const inputs of job.cases) answers[backend].push(await run(model, inputs, signature));
      model.dispose();
    } catch (error) {
      throw new Error(`${error.message} (on ${backend})`);
    }
  }
  fs.writeSync(1, JSON.stringify(answers));
}

main().then(() => process.exit(0), (error) => {
  console.error(error.message);
  process.exit(1);
});
