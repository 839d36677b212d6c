// Bundles the page: `node bundle.mjs SITE SINGLE_FILE`, where SITE already holds the models and the
// catalogue. Writes the page and its service worker to SITE, and all of it as one HTML file.

import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [site, singleFile, server] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const from = (name) => join(here, name);
const wasm = "tfjs-backend-wasm-simd.wasm";

const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  absWorkingDir: here,
  // TensorFlow.js asks for Node's modules where it finds itself in Node.
  external: ["fs", "path", "util", "worker_threads", "perf_hooks", "os", "crypto", "node-fetch"],
};

await build({
  ...common,
  entryPoints: { page: from("src/page.ts") },
  format: "esm",
  outdir: site,
});
await build({
  ...common,
  entryPoints: { page: from("src/page.css") },
  loader: { ".woff2": "file" },
  assetNames: "[name]",
  outdir: site,
});
copyFileSync(from(`node_modules/@tensorflow/tfjs-backend-wasm/dist/${wasm}`), join(site, wasm));
for (const file of ["icon.svg", "manifest.webmanifest"]) copyFileSync(from(file), join(site, file));
const html = readFileSync(from("index.html"), "utf8").replace("%SERVER%", server);
writeFileSync(join(site, "index.html"), html);

const files = readdirSync(site, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.endsWith(".gz") && entry.name !== "worker.js")
  .map((entry) => relative(site, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
  .sort();
const digest = createHash("sha256");
for (const file of files) digest.update(file).update(readFileSync(join(site, file)));
await build({
  ...common,
  entryPoints: { worker: from("src/worker.ts") },
  format: "iife",
  define: {
    VERSION: JSON.stringify(digest.digest("hex").slice(0, 16)),
    FILES: JSON.stringify(["./", ...files.filter((file) => file !== "index.html")]),
  },
  outdir: site,
});

await writeSingleFile();

// One file that works from a disk: no fetches, no worker, the policy by the digests of its parts.
async function writeSingleFile() {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [from("src/page.css")],
    loader: { ".woff2": "dataurl" },
    write: false,
  });
  const style = outputFiles[0].text;
  const script = readFileSync(join(site, "page.js"), "utf8").replaceAll("</script", "<\\/script");
  const inlined = files.filter((file) => /^(models\/|catalogue)|\.wasm$/.test(file));
  const assets = JSON.stringify(
    Object.fromEntries(inlined.map((file) => [file, readFileSync(join(site, file), "base64")])),
  );
  const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const policy = [
    "default-src 'none'",
    `script-src 'wasm-unsafe-eval' ${hash(script)}`,
    `style-src ${hash(style)}`,
    "font-src data:",
    "img-src data: blob:",
    `connect-src blob: ${server} http://localhost:* http://127.0.0.1:*`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const icon = Buffer.from(readFileSync(from("icon.svg"))).toString("base64");
  const replace = (text, old, parts) => {
    if (!text.includes(old)) throw new Error(`index.html has no ${old}`);
    return text.split(old).join(parts);
  };
  let page = html;
  page = replace(
    page,
    '<meta name="color-scheme"',
    `<meta http-equiv="Content-Security-Policy" content="${policy}" />\n    <meta name="color-scheme"`,
  );
  page = replace(page, 'href="icon.svg"', `href="data:image/svg+xml;base64,${icon}"`);
  page = replace(page, '<link rel="manifest" href="manifest.webmanifest" />', "");
  page = replace(page, '<link rel="stylesheet" href="page.css" />', `<style>${style}</style>`);
  page = replace(page, '<script type="module" src="page.js"></script>', "");
  page = replace(
    page,
    "</body>",
    `<script id="assets" type="application/json">${assets}</script>\n` +
      `    <script type="module">${script}</script>\n  </body>`,
  );
  writeFileSync(singleFile, page);
}
