// Shows a bar when the page has stopped working: after a panic (the app says so), a trap of its WebAssembly, or when that
// could not be had at all. What was typed is kept in this tab and put back when the same address is loaded again.
"use strict";
(() => {
  const FIELDS = "input, textarea, select, details";
  const SECRET = /^(password|file|hidden|submit|button|reset|image)$/;
  const WAIT = 5000; // ms in which a field may still appear, and in which a new stop is blamed on what was put back last
  let hydrated = false;
  let stopped = false;
  let leaving = false;
  /** What was put back last, out of which list. */
  let last = null;
  /** Fields a person has used since the page was loaded, some before the app took over (`early.js` tells it of those): that
      person has the last word. */
  const touched = new WeakSet();
  const isTouched = (field) => touched.has(field) || (field.type === "radio" && [...document.getElementsByName(field.name)].some((one) => touched.has(one)));

  const key = () => `burnish:typed:${location.pathname}${location.search}`;

  /** Where a field is: by its id, else its name, else its number among its kind within the nearest element with an id. */
  function place(field) {
    const tag = field.localName;
    if (field.id) return { id: field.id, tag };
    if (field.name) return { name: field.name, tag, ...(/^(radio|checkbox)$/.test(field.type) && { own: field.getAttribute("value") ?? "" }) };
    const around = field.closest("[id]");
    return { within: around?.id, tag, at: [...(around ?? document).querySelectorAll(tag)].indexOf(field) };
  }

  function find({ id, name, own, within, tag, at }) {
    if (id) return document.getElementById(id);
    const fields = [...((within && document.getElementById(within)) || document).querySelectorAll(tag)];
    return name ? fields.find((one) => one.name === name && (own === undefined || (one.getAttribute("value") ?? "") === own)) : fields[at];
  }

  function standing(field) {
    if (field.localName === "details") return { open: field.open };
    return /^(radio|checkbox)$/.test(field.type) ? { checked: field.checked } : { value: field.value };
  }

  function keep() {
    const fields = [...document.querySelectorAll(FIELDS)].filter((field) => !SECRET.test(field.type ?? "") && (field.type !== "radio" || field.checked));
    const now = fields.map((field) => ({ ...place(field), ...standing(field) }));
    // A page that stops while it is filled again is filled without what it stopped at.
    const list = last?.from === key() ? last.list.filter((one) => one !== last.entry) : now;
    try {
      sessionStorage.setItem(key(), JSON.stringify(list));
    } catch { /* no room or no storage: the bar is still shown */ }
  }

  function stop() {
    if (stopped || leaving) return;
    stopped = true;
    keep();
    const bar = document.getElementById("stopped").content.firstElementChild.cloneNode(true);
    bar.querySelector("button").addEventListener("click", () => location.reload());
    // An open dialog makes everything outside of it deaf.
    (document.querySelector("dialog:modal") ?? document.body).prepend(bar);
  }

  const isTrap = (error) => ["RuntimeError", "CompileError", "LinkError"].some((kind) => error instanceof WebAssembly[kind]);
  addEventListener("pagehide", () => (leaving = true));
  addEventListener("pageshow", () => (leaving = false));
  addEventListener("burnish:stopped", stop);
  addEventListener("error", ({ error }) => isTrap(error) && stop());
  addEventListener("unhandledrejection", ({ reason }) => (isTrap(reason) || !hydrated) && stop());

  /** Sets a field as a person would; says whether that changed it. */
  function set(field, { open, checked, value }) {
    if (open !== undefined) field.open = open;
    if (open !== undefined || (field.checked === checked && checked !== undefined) || (value !== undefined && field.value === value)) return false;
    if (checked !== undefined) field.checked = checked; else field.value = value;
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
    return true;
  }

  const has = (field, { value }) => field && (field.localName !== "select" || [...field.options].some((option) => option.value === value));
  const turn = (ms) => new Promise((done) => setTimeout(done, ms));

  async function putBack() {
    const from = key();
    const list = JSON.parse(sessionStorage.getItem(from) ?? "[]");
    const waiting = new Set(list);
    for (const end = Date.now() + WAIT; waiting.size > 0 && Date.now() < end && key() === from; await turn(50)) {
      for (const entry of waiting) {
        const field = find(entry);
        if (!has(field, entry)) continue;
        waiting.delete(entry);
        if (isTouched(field)) continue;
        const before = last;
        last = { entry, list, from };
        if (set(field, entry)) await turn(0); else last = before;
        if (stopped) return;
      }
    }
    setTimeout(() => {
      if (stopped) return;
      last = null;
      sessionStorage.removeItem(from);
    }, WAIT);
  }

  addEventListener("input", ({ isTrusted, target }) => isTrusted && touched.add(target), true);
  addEventListener("burnish:hydrated", () => {
    hydrated = true;
    setTimeout(putBack, 0);
  });
})();
