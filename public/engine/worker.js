// The Web Worker in which a model answers: fetches its files (or takes them from this browser's own store), checks
// them, and runs the engine token by token, so that a wish to stop is heard between two tokens.
import init, { Engine } from "/pkg/engine.js";

const STORE = "burnish-weights";
let engine, parcel, query, stopped;

const tell = (news) => postMessage(typeof news === "string" ? news : JSON.stringify(news));
/** Lets messages in between two pieces of work. */
const breathe = () => new Promise((done) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = done; port2.postMessage(0); });

async function answerOf(response) {
  if (response.ok) return response;
  const { problems } = await response.json().catch(() => ({}));
  throw problems?.[0] ?? { code: "engine.fetch", message: `The server answered with status ${response.status}.` };
}

/** What the model consists of: from the server, or, where there is none, as it was the last time. */
async function describe() {
  const store = await caches.open(STORE);
  const at = `/kept/parcel?${query}`;
  try {
    const fresh = await answerOf(await fetch(`/api/v1/weights?${query}`));
    parcel = await fresh.clone().json();
    await store.put(at, fresh);
  } catch (problem) {
    const kept = problem instanceof TypeError && (await store.match(at));
    if (!kept) throw problem;
    parcel = await kept.json();
  }
  let there = 0;
  for (const file of parcel.files) if (await store.match(keptAt(file))) there += file.bytes;
  return { bytes: parcel.files.reduce((sum, file) => sum + file.bytes, 0), kept: there };
}

const keptAt = (file) => `/kept/${encodeURIComponent(file.key)}`;

async function sha256(bytes) {
  // Only where the browser offers it: pages of a plain http address other than this machine's have no such function.
  if (!globalThis.crypto?.subtle) return undefined;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A file's bytes, whole and checked, or a problem; nothing half-fetched is kept. */
async function bring(file, onBytes) {
  const store = await caches.open(STORE);
  const kept = await store.match(keptAt(file));
  let bytes;
  if (kept) {
    bytes = new Uint8Array(await kept.arrayBuffer());
    onBytes(bytes.length);
  } else {
    const response = await answerOf(await fetch(`/api/v1/weights/file?${query}&name=${encodeURIComponent(file.name)}`));
    bytes = new Uint8Array(file.bytes);
    let at = 0;
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > bytes.length) throw { code: "engine.size", message: `${file.name} is longer than announced.` };
      bytes.set(value, at);
      at += value.length;
      onBytes(value.length);
    }
    if (at !== file.bytes) throw { code: "engine.size", message: `${file.name} was cut off after ${at} of ${file.bytes} bytes.`, hint: "Load it again." };
  }
  const found = file.sha256 && (await sha256(bytes));
  if (found && found !== file.sha256) {
    await store.delete(keptAt(file));
    throw { code: "engine.digest", message: `${file.name} is not what it should be: its SHA-256 differs.`, hint: "Load it again." };
  }
  if (!kept) {
    await store.put(keptAt(file), new Response(bytes)).catch(() => { /* a full store costs the next visit a download, nothing else */ });
  }
  return bytes;
}

async function load() {
  const total = parcel.files.reduce((sum, file) => sum + file.bytes, 0);
  let loaded = 0, told = 0;
  await init();
  const fresh = new Engine();
  for (const file of parcel.files) {
    const bytes = await bring(file, (count) => {
      loaded += count;
      if (Date.now() - told > 200 || loaded === total) { told = Date.now(); tell({ type: "progress", loaded, total }); }
    });
    fresh.put(file.name, bytes);
  }
  fresh.load(parcel.digest);
  engine = fresh;
  tell({ type: "loaded" });
}

async function answer(request) {
  stopped = false;
  const system = parcel.system && !request.messages.some(({ role }) => role === "system");
  const messages = system ? [{ role: "system", content: parcel.system }, ...request.messages] : request.messages;
  engine.ask(JSON.stringify({ ...request, template: parcel.template, messages }));
  for (let piece; (piece = engine.next()) !== undefined;) {
    tell(piece);
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
  return { code: "engine.fault", message: `The model could not be run here: ${error?.message ?? error}` };
};

onmessage = async ({ data }) => {
  const message = JSON.parse(data);
  try {
    if (message.type === "describe") { query = message.query; tell({ type: "size", ...(await describe()) }); }
    else if (message.type === "load") await load();
    else if (message.type === "cancel") stopped = true;
    else await answer(message);
  } catch (error) {
    const problem = problemOf(error);
    if (message.type === "describe" || message.type === "load") tell({ type: "refused", problem });
    else tell({ type: "error", problem });
  }
};
