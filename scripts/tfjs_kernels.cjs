// Writes exporter/formats/tfjs/kernels.json: what TensorFlow.js can run, read off its npm packages.
//
//   npm ci --prefix web && node scripts/tfjs_kernels.cjs [FILE]
//
// A graph op is run by the converter's executors, which call functions of the core, which run
// kernels of a backend. The first two steps are read from the packages' sources; the kernels are
// those that the backends register.
'use strict';

const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..');
const packages = path.join(root, 'web', 'node_modules', '@tensorflow');
const target = process.argv[2] ?? path.join(root, 'exporter', 'formats', 'tfjs', 'kernels.json');
const load = (name) => require(path.join(packages, name));

/** The source of each module in a folder, by its name, without its source map. */
function sources(...parts) {
  const folder = path.join(packages, ...parts);
  const names = fs.readdirSync(folder).filter((name) => name.endsWith('.js') && !name.includes('_test'));
  return names.map((name) => fs.readFileSync(path.join(folder, name), 'utf8').replace(/\/\/# sourceMapping.*/, ''));
}

/** Drops what is done for complex numbers only: a graph that has them needs Complex anyway. */
function withoutComplex(source) {
  const start = source.search(/if \([^\n]*=== 'complex64'\) \{/);
  if (start < 0) return source;
  let depth = 0;
  let end = source.indexOf('{', start);
  do {
    depth += {'{': 1, '}': -1}[source[end++]] ?? 0;
  } while (depth > 0);
  return withoutComplex(source.slice(0, start) + source.slice(end));
}

/** What each function of the core runs: `{name: {kernels, calls}}`. */
function coreFunctions() {
  const functions = new Map();
  const folders = [['tfjs-core', 'dist', 'ops'], ...['image', 'linalg', 'signal', 'spectral', 'sparse', 'string', 'fused_ops']
    .map((name) => ['tfjs-core', 'dist', 'ops', name]).filter((parts) => fs.existsSync(path.join(packages, ...parts)))];
  for (const source of folders.flatMap((parts) => sources(...parts))) {
    // What stands in a gradient runs in training only.
    const forward = withoutComplex(source.replace(/const grad\w* = [\s\S]*?\n    };/g, ''));
    const kernels = [...forward.matchAll(/runKernel\('?(\w+)/g)].map((match) => match[1]);
    const imported = [...source.matchAll(/import \{([^}]*)\} from '\.\.?\/[\w./]+'/g)]
      .flatMap((match) => match[1].split(',').map((name) => name.trim().split(' as ').pop()));
    const calls = imported.filter((name) => new RegExp(`[^\\w.]${name}\\(`).test(forward.replace(/import .*/g, '')));
    for (const [, name] of source.matchAll(/export (?:const|function) (\w+)(?: = .*op)?\(/g)) {
      functions.set(name, {kernels, calls});
    }
  }
  return functions;
}

/** The kernels that a function runs, itself or through others. */
function kernelsOf(name, functions, seen = new Set()) {
  if (seen.has(name) || !functions.has(name)) return [];
  seen.add(name);
  const {kernels, calls} = functions.get(name);
  return [...kernels, ...calls.flatMap((call) => kernelsOf(call, functions, seen))];
}

/** The kernels that each graph op needs. */
function graphOps(functions, kernelNames) {
  const ops = {};
  for (const source of sources('tfjs-converter', 'dist', 'operations', 'executors')) {
    const cases = source.split(/(?=\n        case ')/).slice(1);
    let shared = [];
    for (const text of cases) {
      shared.push(text.match(/case '(\w+)'/)[1]);
      if (!/\breturn\b/.test(text)) continue;
      const called = [...text.matchAll(/(?:ops|tfOps|fused|image|linalg|spectral|sparse|string)\.(\w+)\(/g)].map((match) => match[1]);
      const kernels = called.flatMap((name) => kernelsOf(name, functions));
      const names = [...new Set(kernels.map((name) => kernelNames[name] ?? name))].sort();
      for (const op of shared) ops[op] = names;
      shared = [];
    }
  }
  return Object.fromEntries(Object.entries(ops).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One line an op and a backend. */
function format({tfjs, kernels, ops}) {
  const lines = (object) => Object.entries(object)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(',\n');
  return `{\n "tfjs": "${tfjs}",\n "kernels": {\n${lines(kernels)}\n },\n "ops": {\n${lines(ops)}\n }\n}\n`;
}

function main() {
  const core = load('tfjs-core');
  const kernels = {};
  for (const backend of ['cpu', 'wasm', 'webgl']) {
    load(`tfjs-backend-${backend}`);
    kernels[backend] = core.getKernelsForBackend(backend).map((kernel) => kernel.kernelName).sort();
  }
  const names = Object.fromEntries(Object.entries(core).filter(([, value]) => typeof value === 'string'));
  const result = {tfjs: core.version_core, kernels, ops: graphOps(coreFunctions(), names)};
  fs.writeFileSync(target, format(result));
  console.log(`${target}: ${Object.keys(result.ops).length} ops, ` +
    Object.entries(kernels).map(([backend, list]) => `${list.length} kernels on ${backend}`).join(', '));
}

main();
