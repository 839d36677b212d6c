// Runs a graph model beside the page on one backend: ({backend, cases, names}) => [{name: tensor}],
// a tensor being {dtype, shape, values}.
async ({ backend, cases, names }) => {
  tf.wasm.setWasmPaths(new URL("wasm/", location.href).href);
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} doesn't start`);
  await tf.ready();
  if (tf.getBackend() !== backend) throw new Error(`${tf.getBackend()} runs instead of ${backend}`);
  const model = await tf.loadGraphModel(new URL("model/model.json", location.href).href);
  const answers = [];
  for (const inputs of cases) {
    const tensors = Object.fromEntries(
      Object.entries(inputs).map(([name, { dtype, shape, values }]) => [
        name,
        tf.tensor(values, shape, dtype),
      ]),
    );
    const results = await model.executeAsync(tensors, names);
    const list = Array.isArray(results) ? results : [results];
    const read = await Promise.all(
      list.map(async (tensor) => ({
        dtype: tensor.dtype,
        shape: tensor.shape,
        values: Array.from(await tensor.data()),
      })),
    );
    answers.push(Object.fromEntries(names.map((name, index) => [name, read[index]])));
    tf.dispose([tensors, list]);
  }
  model.dispose();
  return answers;
}
