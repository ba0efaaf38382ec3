// What every Web Worker with a model shares, whether the files came from a server or with the page: it tells its page
// how loading goes, and answers step by step, so that a wish to stop is heard between two of them.
"use strict";
var engine, parcel, stopped;

const tell = (news) => postMessage(typeof news === "string" ? news : JSON.stringify(news));
/** Lets messages in between two pieces of work. */
const breathe = () => new Promise((done) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = done; port2.postMessage(0); });
const bytesOf = (files) => files.reduce((sum, file) => sum + file.bytes, 0);

/** Whether this browser's WebAssembly has vectors: a module of one function that makes one. */
const vectors = () => WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11));

/** Starts the engine; `wasm` are its bytes or their address. */
async function start(wasm) {
  if (!vectors()) throw { code: "engine.simd", message: "This browser's WebAssembly has no vector instructions.", hint: "Use a browser of 2023 or later." };
  await wasm_bindgen({ module_or_path: wasm });
}

/** Tries whether the memory for the files can be had, before anything is fetched. */
function reserve() {
  const trial = new wasm_bindgen.Engine();
  trial.begin("trial", bytesOf(parcel.files));
  trial.free();
}

/** Puts every file into a fresh engine; `pieces(file)` yields its bytes in order, `spoilt(file)` hears of a wrong one. */
async function fill(pieces, spoilt = () => {}) {
  const total = bytesOf(parcel.files);
  let loaded = 0, told = 0;
  const fresh = new wasm_bindgen.Engine();
  for (const file of parcel.files) {
    fresh.begin(file.name, file.bytes);
    for await (const piece of pieces(file)) {
      fresh.feed(piece);
      loaded += piece.length;
      if (Date.now() - told > 200 || loaded === total) { told = Date.now(); tell({ type: "progress", loaded, total }); }
    }
    try { fresh.end(file.sha256 ?? undefined); } catch (problem) { await spoilt(file); throw problem; }
  }
  fresh.load(parcel.digest);
  engine = fresh;
}

async function answer(request) {
  stopped = false;
  const system = parcel.system && !request.messages.some(({ role }) => role === "system");
  const messages = system ? [{ role: "system", content: parcel.system }, ...request.messages] : request.messages;
  engine.ask(JSON.stringify({ ...request, template: parcel.template, messages }));
  for (let piece; (piece = engine.next()) !== undefined;) {
    if (piece) tell(piece); // else it reads or searches
    await breathe();
    if (stopped) { engine.cancel(); stopped = false; }
  }
}

const problemOf = (error) => {
  if (typeof error === "string") { try { return JSON.parse(error); } catch { /* not one of ours */ } }
  if (error?.code && error?.message) return error;
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError)
    return { code: "engine.memory", message: "This browser ran out of memory for the model.", hint: "Close other tabs, or talk to it on the server." };
  if (error instanceof TypeError) return { code: "connection.lost", message: "The server does not answer." };
  return { code: "engine.fault", message: `The model could not be run here: ${error?.message ?? error}`, params: { why: `${error?.message ?? error}` } };
};

/** Hears its page: `tasks` by type beside questions; what goes wrong in a task refuses the model. */
const listen = (tasks) => {
  onmessage = async ({ data }) => {
    const message = typeof data === "string" ? JSON.parse(data) : data;
    if (message.type === "cancel") { stopped = true; return; }
    const task = tasks[message.type];
    try {
      await (task ?? answer)(message);
    } catch (error) {
      const problem = problemOf(error);
      tell(task ? { type: "refused", problem } : { type: "error", problem });
    }
  };
};
