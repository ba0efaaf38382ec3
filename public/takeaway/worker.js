// The Web Worker of a page that was handed over: it asks its page for a file's pieces one by one.
"use strict";
let arrived;
const want = (file, index) => new Promise((done) => { arrived = done; tell({ type: "want", key: file.key, index }); });

async function* pieces(file) {
  for (let index = 0; index < file.pieces; index += 1) yield await want(file, index);
}

listen({
  open: async ({ wasm, what }) => { parcel = what; await start(wasm); tell({ type: "ready", bytes: bytesOf(parcel.files) }); },
  load: async () => { await fill(pieces); tell({ type: "loaded" }); },
  piece: ({ bytes }) => arrived(bytes),
});
