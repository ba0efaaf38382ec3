// Keeps what the playground needs to open without the server: the pages and the files of one build, which its own address
// names. Registered once a model has been loaded into this browser. Pages come from the network first, always: no page
// that is kept is shown while the server answers.
"use strict";
const BUILD = new URL(self.location).searchParams.get("build");
const STORE = `burnish-pages-${BUILD}`;
const PAGES = ["/playground", "/settings"];
const FILES = `/build/${BUILD}/`;
/** What no page names before it is asked for; everything else is named by the pages and by their style. */
const ENGINE = ["pkg/engine.js", "pkg/engine_bg.wasm", "engine/core.js", "engine/worker.js"].map((path) => FILES + path);

/** Whether an answer is of this build; those of two are never kept together. */
const isOurs = (response) => response.ok && response.headers.get("burnish-build") === BUILD;

async function fetchAll() {
  const store = await caches.open(STORE);
  const keep = async (path) => {
    const response = await fetch(path);
    if (!isOurs(response)) throw new Error(`${path} is not of build ${BUILD}`);
    await store.put(path, response);
  };
  const keepAll = (paths) => Promise.all([...new Set(paths)].map(keep));
  const text = async (paths) => (await Promise.all(paths.map(async (path) => (await store.match(path)).text()))).join();
  await keepAll([...PAGES, ...ENGINE]);
  const named = (await text(PAGES)).match(new RegExp(`${FILES}[\\w./-]+`, "g"));
  await keepAll(named);
  const styles = await text(named.filter((path) => path.endsWith(".css")));
  await keepAll((styles.match(/\.\.\/fonts\/[\w.-]+/g) ?? []).map((font) => FILES + font.slice(3)));
}

/** A file of this build is always the same: what is kept of it is good. */
async function file(request, store, keep) {
  const kept = await store.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  if (isOurs(response)) keep(response);
  return response;
}

async function page(request, store, keep) {
  try {
    const response = await fetch(request);
    if (isOurs(response)) keep(response);
    return response;
  } catch (gone) {
    const last = (await store.match(request)) ?? (await store.match(request, { ignoreSearch: true }));
    if (!last) throw gone;
    return last;
  }
}

async function forgetOthers() {
  const others = (await caches.keys()).filter((name) => name.startsWith("burnish-pages") && name !== STORE);
  await Promise.all(others.map((name) => caches.delete(name)));
}

self.addEventListener("install", (event) => { self.skipWaiting(); event.waitUntil(fetchAll()); });
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const isPage = event.request.mode === "navigate" && PAGES.includes(pathname);
  if (event.request.method !== "GET" || origin !== self.location.origin || !(isPage || pathname.startsWith(FILES))) return;
  event.respondWith(caches.open(STORE).then((store) => {
    const keep = (response) => event.waitUntil(store.put(event.request, response.clone()).catch(() => { /* a full store costs the offline page, nothing else */ }));
    return (isPage ? page : file)(event.request, store, keep);
  }));
});
