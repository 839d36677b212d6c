// Calls of @grpc/grpc-js: node client.js PORT
const grpc = require("@grpc/grpc-js");

const same = (value) => value;
const options = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.max_metadata_size": 200 * 1024,
};
const connect = (more) =>
  new grpc.Client(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure(), { ...options, ...more });
const client = connect({});
const zipped = connect({ "grpc.default_compression_algorithm": 2 });

function unary(method, body, { metadata = {}, deadline = 60, on = client, cancelAfter } = {}) {
  return new Promise((resolve) => {
    const sent = new grpc.Metadata();
    for (const [key, value] of Object.entries(metadata)) sent.set(key, value);
    const limit = { deadline: Date.now() + deadline * 1000 };
    let status;
    const call = on.makeUnaryRequest(`/test.Service/${method}`, same, same, body, sent, limit, (error, answer) => {
      resolve({ code: error ? error.code : 0, details: error ? error.details : "", answer, call });
    });
    if (cancelAfter) setTimeout(() => call.cancel(), cancelAfter);
  });
}

function stream() {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest("/test.Service/Both", same, same, new grpc.Metadata());
    let answer = "";
    call.on("data", (data) => {
      answer += data;
      call.end();
    });
    call.on("error", () => {});
    call.on("status", (status) => resolve(`${answer}${status.code}`));
    call.write(Buffer.from("a"));
  });
}

async function main() {
  const print = (...words) => console.log(words.join(" "));
  print("echo", (await unary("Unary", Buffer.from("ab"))).answer);
  print("large", (await unary("Length", Buffer.alloc(100 * 2 ** 20))).answer);
  print("gzip", (await unary("Length", Buffer.alloc(1000000), { on: zipped })).answer);
  let found = await unary("Unary", Buffer.from("abort"));
  print("abort", found.code, found.details);
  found = await unary("Nothing", Buffer.alloc(0));
  print("unknown", found.code);
  print("deadline", (await unary("Wait", Buffer.alloc(0), { deadline: 0.3 })).code);
  print("cancel", (await unary("Wait", Buffer.alloc(0), { cancelAfter: 200 })).code);
  found = await unary("Unary", Buffer.from("ab"), { metadata: { "x-question": "v".repeat(50000) } });
  print("metadata", found.code, found.answer);
  const streams = await Promise.all(Array.from({ length: 1000 }, stream));
  print("streams", streams.filter((ended) => ended === "aa0").length);
  client.close();
  zipped.close();
}
main();
