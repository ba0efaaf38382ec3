// Keeps what the playground needs to open without the server. Registered once a model has been loaded into this
// browser. The network comes first, always: nothing kept is shown while the server answers.
"use strict";
const STORE = "burnish-pages";
const NEEDED = ["/playground", "/settings", "/pkg/burnish.js", "/pkg/burnish_bg.wasm", "/pkg/burnish.css", "/pkg/engine.js", "/pkg/engine_bg.wasm", "/engine/core.js", "/engine/worker.js", "/stopped.js"];
const PAGES = ["/playground", "/settings"];
const FILES = /^\/(pkg|engine|fonts)\/|^\/[^/]+\.(svg|png|ico|webmanifest|js)$/;

async function fetchAll() {
  const store = await caches.open(STORE);
  const keep = async (path) => { const response = await fetch(path); if (response.ok) await store.put(path, response); };
  await Promise.all(NEEDED.map(keep));
  const style = await (await store.match("/pkg/burnish.css"))?.text() ?? "";
  await Promise.all([...new Set([...style.matchAll(/\/fonts\/[\w.-]+/g)].map(([path]) => path))].map(keep));
}

async function answer(request, kept) {
  const store = await caches.open(STORE);
  try {
    const response = await fetch(request);
    if (response.ok) kept(store.put(request, response.clone()).catch(() => { /* a full store costs the offline page, nothing else */ }));
    return response;
  } catch (gone) {
    const last = (await store.match(request)) ?? (await store.match(request, { ignoreSearch: true }));
    if (!last) throw gone;
    return last;
  }
}

self.addEventListener("install", (event) => { self.skipWaiting(); event.waitUntil(fetchAll()); });
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const page = event.request.mode === "navigate" && PAGES.includes(pathname);
  if (event.request.method !== "GET" || origin !== self.location.origin || !(page || FILES.test(pathname))) return;
  event.respondWith(answer(event.request, (work) => event.waitUntil(work)));
});
