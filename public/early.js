// Until the pages answer (their WebAssembly is still on its way), presses, typing and chosen files are kept; then they
// are carried out in their order, each once. A press shows at once that it was heard. Presses are given up, with a word,
// when the pages cannot be loaded or take longer than a minute, and without one when the page is left.
"use strict";
(() => {
  const LONGEST = 60_000;
  const { heard, late } = document.currentScript.dataset;
  const note = document.createElement("p");
  note.className = "early";
  note.setAttribute("role", "status");
  let kept = [], acting = false, failed = false, limit;

  const breathe = () => new Promise((done) => setTimeout(done));
  function say(text) {
    // Outside of <body>, which the pages take over as the server wrote it; empty at first, so that it is read out.
    if (text && !note.isConnected) document.documentElement.append(note);
    setTimeout(() => (note.textContent = text));
  }
  const calm = ({ sign }) => sign?.removeAttribute("aria-busy");

  /** Gives presses up; what was typed stays. */
  function giveUp(word) {
    clearTimeout(limit);
    limit = undefined;
    const presses = kept.filter(({ sign }) => sign);
    kept = kept.filter(({ sign }) => !sign);
    presses.forEach(calm);
    if (presses.length > 0) say(word);
  }

  /** Keeps a press; `sign` shows that it was heard. A second press of the same is the same press. */
  function press(event, control, act, sign = control) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (failed) return say(late);
    if (sign.ariaBusy === "true") return;
    sign.setAttribute("aria-busy", "true");
    kept.push({ control, act, sign });
    limit ??= setTimeout(() => giveUp(late), LONGEST);
    say(heard);
  }

  /** Keeps what a field holds now, in the place of what it held, unless something was pressed in between. */
  function hold(control) {
    const { value, checked } = control, last = kept.at(-1);
    if (last?.control === control && !last.sign) kept.pop();
    kept.push({ control, act() {
      if (/^(checkbox|radio)$/.test(control.type)) control.checked = checked; else control.value = value;
      if (control.value !== value) return; // an option that is no more
      for (const name of ["input", "change"]) control.dispatchEvent(new Event(name, { bubbles: true }));
    } });
  }

  const chosen = (event, input) => press(event, input, () => input.dispatchEvent(new Event("change", { bubbles: true })), input.closest("label") ?? input);

  const acts = {
    click(event, target) {
      const button = target.closest("button");
      if (button && !button.disabled && !(button.type === "submit" && button.form)) press(event, button, () => button.click());
    },
    submit(event, form) {
      if (!form.hasAttribute("action") && form.method !== "dialog") press(event, form, () => form.requestSubmit(), event.submitter ?? form);
    },
    keydown(event, target) {
      const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing && target.matches("[enterkeyhint=send]");
      if (sends) press(event, target, () => target.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true })));
    },
    input(event, target) { if (target.type !== "file") hold(target); },
    change(event, target) { target.type === "file" ? chosen(event, target) : hold(target); },
    toggle(event, target) {
      if (target.matches("details")) kept.push({ control: target, act: () => target.dispatchEvent(new Event("toggle")) });
    },
    dragover(event, target) { if (target.closest(".drop") && event.dataTransfer.types.includes("Files")) event.preventDefault(); },
    drop(event, target) {
      const input = target.closest(".drop")?.querySelector("input[type=file]");
      if (!input || event.dataTransfer.files.length === 0) return;
      input.files = event.dataTransfer.files;
      chosen(event, input);
    },
  };
  const hear = (event) => {
    const { target } = event;
    if (!acting && target instanceof Element && target.closest(".app")) acts[event.type](event, target);
  };
  for (const name of Object.keys(acts)) document.addEventListener(name, hear, true);

  addEventListener("burnish:hydrated", async () => {
    await breathe(); // the parts of a page that waited for data take over right after it
    clearTimeout(limit);
    for (let one; !failed && (one = kept.shift()); await breathe()) {
      calm(one);
      acting = true;
      if (one.control.isConnected) one.act();
      acting = false;
    }
    if (failed) return;
    for (const name of Object.keys(acts)) document.removeEventListener(name, hear, true);
    note.remove();
    document.documentElement.dataset.hydrated = "";
  });
  // The pages' script could not be fetched, or did not start.
  function fail() {
    if ("hydrated" in document.documentElement.dataset) return;
    giveUp(late);
    failed = true;
  }
  for (const name of ["unhandledrejection", "burnish:stopped"]) addEventListener(name, fail);
  addEventListener("pagehide", () => { kept.forEach(calm); kept = []; note.remove(); });
})();
