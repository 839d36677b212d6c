// Runs published graph models in Node, one a line: {"directory", "cases": [{name: tensor}]} on standard
// input, {"answers": {backend: [{name: tensor}]}} or {"error": text} on standard output.
//
//   node tfjs.cjs PACKAGES_DIR
//
// A tensor is {"dtype", "shape", "data"}, the numbers as base64 of their little-endian bytes. The
// model is loaded as a page loads it: through `fetch`, from its model.json.
'use strict';

const fs = require('fs');
const {createRequire} = require('module');
const path = require('path');
const readline = require('readline');

const load = createRequire(path.resolve(process.argv[2], 'package.json'));
const tf = load('@tensorflow/tfjs-core');
const {loadGraphModel} = load('@tensorflow/tfjs-converter');
load('@tensorflow/tfjs-backend-cpu');
load('@tensorflow/tfjs-backend-wasm');

const ARRAYS = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

async function fetchFile(url) {
  const body = fs.readFileSync(url);
  const type = url.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  return new Response(body, {headers: {'content-type': type}});
}

function tensor({dtype, shape, data}) {
  if (!(dtype in ARRAYS)) throw new Error(`TensorFlow.js takes no ${dtype}`);
  const bytes = new Uint8Array(Buffer.from(data, 'base64'));
  return tf.tensor(new ARRAYS[dtype](bytes.buffer), shape, dtype);
}

async function plain(value) {
  const numbers = ARRAYS[value.dtype].from(await value.data());
  return {dtype: value.dtype, shape: value.shape, data: Buffer.from(numbers.buffer).toString('base64')};
}

async function answer({directory, cases}) {
  const answers = {};
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    const model = await loadGraphModel(path.join(directory, 'model.json'), {fetchFunc: fetchFile});
    const names = Object.keys(model.modelSignature.outputs);
    const nodes = names.map((name) => model.modelSignature.outputs[name].name);
    answers[backend] = [];
    for (const inputs of cases) {
      const given = Object.fromEntries(
        Object.entries(inputs).map(([name, value]) => [model.modelSignature.inputs[name].name, tensor(value)]));
      const found = [].concat(await model.executeAsync(given, nodes));
      const outputs = {};
      for (const [i, name] of names.entries()) outputs[name] = await plain(found[i]);
      answers[backend].push(outputs);
    }
    model.dispose();
  }
  return answers;
}

async function main() {
  console.warn = () => {};
  for await (const line of readline.createInterface({input: process.stdin})) {
    let reply;
    try {
      reply = {answers: await answer(JSON.parse(line))};
    } catch (error) {
      reply = {error: String(error && error.message || error)};
    }
    fs.writeSync(1, JSON.stringify(reply) + '\n');
  }
}

main();
