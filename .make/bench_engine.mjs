// The starter model in one Web Worker of Chromium: this build's engine and wllama (llama.cpp in wasm) with one thread,
// the same GGUF file, the same question, the likeliest tokens. Usage: node bench_engine.mjs WORK SITE WLLAMA_PACKAGE
import { brotliCompressSync, constants } from "node:zlib";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { launch } from "../end2end/support/browser.mjs";
import { staticServer } from "../end2end/support/zip.mjs";

const [work, site, wllama] = process.argv.slice(2);
const TOKENS = 128, ROUNDS = 3;
const FILES = ["model.gguf", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
const QUESTION = "Tell me a long story about a lighthouse.";

/** Runs in the worker of the page. */
function worker(files, request) {
  importScripts("/pkg/engine.js", "/engine/core.js");
  (async () => {
    const { memory } = await wasm_bindgen({ module_or_path: "/pkg/engine_bg.wasm" });
    const made = new wasm_bindgen.Engine();
    for (const name of files) {
      const response = await fetch(`/model/${name}`);
      if (!response.ok) continue;
      const bytes = new Uint8Array(await response.arrayBuffer());
      made.begin(name, bytes.length);
      for (let at = 0; at < bytes.length; at += 8 << 20) made.feed(bytes.subarray(at, at + (8 << 20)));
      made.end(undefined);
    }
    made.load("bench");
    made.ask(JSON.stringify(request));
    let text = "", done;
    for (let piece; (piece = made.next()) !== undefined;) {
      if (!piece) continue; // it reads
      const delta = JSON.parse(piece);
      if (delta.type === "text") text += delta.text;
      if (delta.type === "done") done = delta;
    }
    postMessage({ tokens_per_s: done.tokens_per_second, tokens: done.tokens, text, memory_mb: memory.buffer.byteLength / 1e6 });
  })().catch((error) => postMessage({ error: String(error) }));
}

const host = await staticServer([["/pkg/", join(site, "pkg")], ["/engine/", join(site, "engine")], ["/model/", join(work, "kept")], ["/wllama/", wllama]]);
const browser = await launch();
const page = await browser.newPage();
await page.goto(`${host.url}pkg/burnish.css`);
const request = { target: { model: "m" }, template: "model", messages: [{ role: "user", content: QUESTION }], settings: { do_sample: false, max_new_tokens: TOKENS } };
const ours = async () => {
  const found = await page.evaluate(([source, files, request]) => new Promise((done) => {
    // A blob has no address of its own, so scripts are named in full.
    const text = `(${source.replaceAll('"/', `"${location.origin}/`).replaceAll("`/", `\`${location.origin}/`)})(${JSON.stringify(files)}, ${JSON.stringify(request)})`;
    const made = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    made.onmessage = ({ data }) => { made.terminate(); done(data); };
    made.onerror = ({ message }) => done({ error: message });
  }), [worker.toString(), FILES, request]);
  if (found.error) throw new Error(found.error);
  return found;
};
const theirs = () => page.evaluate(async ([question, tokens]) => {
  const { Wllama } = await import("/wllama/esm/index.js");
  const made = new Wllama({ default: "/wllama/esm/wasm/wllama.wasm" }, { suppressNativeLog: true });
  const file = await (await fetch("/model/model.gguf")).blob();
  await made.loadModel([file], { n_threads: 1, n_ctx: 512, n_gpu_layers: 0 });
  let count = 0, first, last, text = "";
  await made.createChatCompletion({ messages: [{ role: "user", content: question }], max_tokens: tokens, temperature: 0, stream: true, onData: (chunk) => {
    const piece = chunk.choices?.[0]?.delta?.content;
    if (!piece) return;
    last = performance.now();
    first ??= last;
    count += 1;
    text += piece;
  } });
  await made.exit();
  return { tokens_per_s: ((count - 1) * 1000) / (last - first), tokens: count, text };
}, [QUESTION, TOKENS]);

const best = (found) => found.reduce((a, b) => (b.tokens_per_s > a.tokens_per_s ? b : a));
const [mine, other] = [[], []];
for (let round = 0; round < ROUNDS; round += 1) {
  mine.push(await ours());
  other.push(await theirs());
}
const [a, b] = [best(mine), best(other)];
const wasm = readFileSync(join(site, "pkg/engine_bg.wasm"));
const packed = brotliCompressSync(wasm, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }).length;
console.log(`  in the browser, one worker: ${a.tokens_per_s.toFixed(1)} tokens/s, wllama with one thread ${b.tokens_per_s.toFixed(1)}: ${(a.tokens_per_s / b.tokens_per_s).toFixed(2)} times; ${a.memory_mb.toFixed(0)} MB in the worker`);
console.log(`  engine ${(wasm.length / 1e6).toFixed(2)} MB, ${(packed / 1e6).toFixed(2)} MB with brotli; wllama ${(statSync(join(wllama, "esm/wasm/wllama.wasm")).size / 1e6).toFixed(1)} MB`);
console.log(JSON.stringify({ engine: a, wllama: b }));
await browser.close();
host.close();
