// The Web Worker of the studio: fetches a model's files in pieces, keeps every whole piece in this browser's own store,
// and hands them to the engine. A download that breaks off goes on where it was.
"use strict";
importScripts("../pkg/engine.js", "core.js"); // of the build whose address this script has

const STORE = "burnish-weights";
const PIECE = 8 << 20;
let query;

/** A store that keeps nothing, for pages of a plain http address other than this machine's: browsers give them none. */
const NO_STORE = { match: async () => undefined, put: async () => { throw new Error("no store"); }, keys: async () => [], delete: async () => false };
const store = async () => (globalThis.caches ? caches.open(STORE) : NO_STORE);
const described = (asked) => `/kept/parcel?${asked}`;
const keptAt = (file, at) => `/kept/${encodeURIComponent(file.key)}/${at}`;
const starts = (file) => Array.from({ length: Math.max(1, Math.ceil(file.bytes / PIECE)) }, (_, i) => i * PIECE);
const sizeAt = (file, at) => Math.min(PIECE, file.bytes - at);

async function answerOf(response) {
  if (response.ok) return response;
  const { problems } = await response.json().catch(() => ({}));
  throw problems?.[0] ?? { code: "engine.fetch", message: `The server answered with status ${response.status}.`, params: { status: `${response.status}` } };
}

/** What the model consists of: from the server, or, where there is none, as it was the last time. */
async function describe(message) {
  query = message.query;
  const kept = await store(), at = described(query);
  try {
    parcel = await (await answerOf(await fetch(`/api/v1/weights?${query}`))).json();
  } catch (problem) {
    const last = problem instanceof TypeError && (await kept.match(at));
    if (!last) throw problem;
    parcel = await last.json();
  }
  const memory = (navigator.deviceMemory ?? 8) * 1e9;
  if (2 * bytesOf(parcel.files) > memory) throw { code: "engine.memory", message: "This device has too little memory for the model.", hint: "Talk to it on the server." };
  await start("../pkg/engine_bg.wasm");
  reserve();
  const there = new Set((await kept.keys()).map(({ url }) => new URL(url).pathname));
  let bytes = 0;
  for (const file of parcel.files) for (const start of starts(file)) if (there.has(keptAt(file, start))) bytes += sizeAt(file, start);
  tell({ type: "size", bytes: bytesOf(parcel.files), kept: bytes });
}

/** The pieces of a file: kept ones from the store, the others fetched and kept. */
async function* pieces(file) {
  const kept = await store();
  for (const at of starts(file)) {
    const size = sizeAt(file, at), here = await kept.match(keptAt(file, at));
    const bytes = here && new Uint8Array(await here.arrayBuffer());
    if (bytes?.length === size) { yield bytes; continue; }
    const range = { headers: { range: `bytes=${at}-${at + size - 1}` } };
    const response = await answerOf(await fetch(`/api/v1/weights/file?${query}&name=${encodeURIComponent(file.name)}`, size ? range : {}));
    const fresh = new Uint8Array(await response.arrayBuffer());
    if (fresh.length !== size) throw { code: "engine.size", message: `${file.name} was cut off after ${at + fresh.length} of ${file.bytes} bytes.`, hint: "Load it again." };
    await kept.put(keptAt(file, at), new Response(fresh)).catch(() => { complete = false; });
    yield fresh;
  }
}

/** Whether everything could be kept. */
let complete;

async function load() {
  complete = true;
  const kept = await store();
  await kept.put(described(query), new Response(JSON.stringify(parcel))).catch(() => { complete = false; });
  const forget = async (file) => { for (const at of starts(file)) await kept.delete(keptAt(file, at)); };
  await fill(pieces, forget);
  tell({ type: "loaded", kept: complete });
}

/** Tells which models are kept here. */
async function list() {
  const kept = await store(), items = [], there = new Set();
  const keys = (await kept.keys()).map(({ url }) => new URL(url));
  for (const { pathname } of keys) there.add(pathname);
  for (const url of keys.filter(({ pathname }) => pathname === "/kept/parcel")) {
    const { name, files } = await (await kept.match(url)).json();
    const bytes = files.flatMap((file) => starts(file).filter((at) => there.has(keptAt(file, at))).map((at) => sizeAt(file, at)));
    items.push({ query: url.search.slice(1), name, bytes: bytes.reduce((a, b) => a + b, 0) });
  }
  tell({ type: "kept", items });
}

/** Forgets a model: its description, and every piece that no other model shares. */
async function forget(message) {
  const kept = await store();
  await kept.delete(described(message.query));
  const wanted = new Set();
  for (const { url } of await kept.keys()) {
    const { pathname } = new URL(url);
    if (pathname !== "/kept/parcel") continue;
    wanted.add(pathname);
    for (const file of (await (await kept.match(url)).json()).files) for (const at of starts(file)) wanted.add(keptAt(file, at));
  }
  for (const { url } of await kept.keys()) if (!wanted.has(new URL(url).pathname)) await kept.delete(url);
  await list();
}

listen({ describe, load, list, forget });
