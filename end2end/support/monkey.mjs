// A monkey: tries every control of a page once, then any of them, in an order that a seed decides, and says what it did
// when the page panics, complains, freezes or does not do what was chosen. It deletes, launches and uploads nothing.

/** What costs time, data or the network, or leads away. */
const FORBIDDEN = [
  ".danger", ".bar .btn", ".hero .btn", ".upload-grid .btn", ".add-card .btn", ".hub .btn", ".file-button", "input[type=file]",
  "input[name=lang]", ".composer-line .btn", ".suggestion", ".place .btn", ".editor-buttons .btn", "[aria-labelledby=make] .btn", "[aria-labelledby=columns] > .btn",
].join(", ");

/** Pseudo-random numbers below 1 (mulberry32). */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word = (word + Math.imul(word ^ (word >>> 7), word | 61)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs in the page: lays out what can be done there and does one thing of it. */
function install(forbidden) {
  const ODD = ["", "7", "-1", "1e9", "0.05", "x", "中文 🫖", "<b>&amp;</b>", "a,b", "long ".repeat(80)];
  const turn = () => new Promise((done) => setTimeout(done, 0));
  const say = (element, ...names) => names.forEach((name) => element.dispatchEvent(new Event(name, { bubbles: true })));
  const nameOf = (element) => element.id || element.name || element.getAttribute("aria-label") || element.closest("label")?.innerText || element.textContent;
  const place = (element) => {
    const name = nameOf(element).trim().replace(/\d+/g, "#").slice(0, 50);
    const around = element.closest("section, fieldset, dialog, form");
    return `${element.localName} “${name}” in ${around?.getAttribute("aria-labelledby") ?? around?.getAttribute("aria-label") ?? around?.localName ?? "main"}`;
  };

  function* of(element) {
    const where = place(element);
    if (element.localName === "select") {
      for (const { value, disabled } of element.options) {
        const act = () => { element.value = value; say(element, "input", "change"); };
        if (!disabled) yield { key: `${where}: choose “${value}”`, act, seen: () => element.value === value };
      }
    } else if (element.type === "radio") {
      yield { key: `${where}: choose “${element.value}”`, act: () => element.click(), seen: () => element.checked };
    } else if (element.type === "checkbox") {
      yield { key: `${where}: ${element.checked ? "untick" : "tick"}`, act: () => element.click() };
    } else if (element.type === "range") {
      for (const value of new Set([element.min, element.max])) yield { key: `${where}: slide to ${value}`, act: () => { element.value = value; say(element, "input", "change"); } };
    } else if (element.localName === "summary") {
      const open = element.parentElement.open;
      yield { key: `${where}: ${open ? "close" : "open"}`, act: () => element.click(), seen: () => element.parentElement.open !== open };
    } else if (element.localName === "button") {
      yield { key: `${where}: press`, act: () => element.click() };
    } else if (element.localName === "a") {
      yield { key: `${where}: point at`, act: () => { element.focus(); element.dispatchEvent(new MouseEvent("mouseenter")); } };
    } else if (element.getAttribute("role") === "application") {
      for (const key of ["ArrowLeft", "PageUp", "Escape"]) yield { key: `${where}: ${key}`, act: () => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })) };
    } else {
      const before = element.value;
      const type = (text) => { element.value = text; say(element, "input", "change"); };
      yield { key: `${where}: type and take back`, act: async (random) => { type(ODD[Math.floor(random * ODD.length)]); await turn(); type(before); } };
    }
  }

  function all() {
    const root = document.querySelector("dialog:modal") ?? document.querySelector("main");
    const elements = [...(root?.querySelectorAll("select, input, textarea, summary, button, a.num, [role=application]") ?? [])];
    return elements.filter((one) => one.checkVisibility() && !one.matches(`:disabled, ${forbidden}`)).flatMap((one) => [...of(one)]);
  }

  const done = new Set();
  globalThis.monkey = {
    /** Does one thing, one that was not done yet or `any`; says which, or nothing when there is none. */
    async step(random, any) {
      const todo = all().filter(({ key }) => any || !done.has(key));
      if (todo.length === 0) return null;
      const { key, act, seen } = todo[Math.floor(random * todo.length)];
      done.add(key);
      await act(random);
      await turn();
      await turn();
      return { key, missed: seen !== undefined && !seen() };
    },
    isInDialog: () => document.querySelector("dialog:modal") !== null,
    isStopped: () => document.querySelector(".stopped") !== null,
  };
}

/** A monkey on a page opened by `open`. */
export class Monkey {
  steps = [];
  #page;
  #random;

  constructor(page, seed) {
    this.#page = page;
    this.#random = dice(seed);
  }

  /** Does something, named, and looks whether the page lives on. */
  async #do(name, act) {
    if (name) this.steps.push(name);
    let timer;
    const frozen = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error("the page does not answer")), 15_000)));
    try {
      const answer = await Promise.race([act(), frozen]);
      if (answer?.key) this.steps.push(answer.key);
      if (answer?.missed) throw new Error("what was chosen is not shown");
      if (this.#page.faults.length > 0) throw new Error(this.#page.faults.join("\n"));
      return answer;
    } catch (error) {
      throw new Error(`${error.message}\nafter, on ${this.#page.url()}:\n  ${this.steps.slice(-25).join("\n  ")}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** An act of a story, watched like the monkey's own. */
  act(name, act) {
    return this.#do(name, act);
  }

  async #step(any) {
    const page = this.#page;
    const did = await this.#do(null, () => page.evaluate(([random, any]) => globalThis.monkey.step(random, any), [this.#random(), any]));
    if (await page.evaluate(() => globalThis.monkey.isStopped())) await this.#do("the bar", () => Promise.reject(new Error("the page says that it stopped working")));
    return did !== null;
  }

  #leaveDialog() {
    return this.#do("Escape", () => this.#page.keyboard.press("Escape"));
  }

  #isInDialog() {
    return this.#page.evaluate(() => globalThis.monkey.isInDialog());
  }

  /** Every control in every state, `most` steps at most; then `more` steps of any kind. */
  async play({ most = 400, more = 0 }) {
    await this.#page.evaluate(install, FORBIDDEN);
    let left = most;
    for (; left > 0; left -= 1) {
      if (await this.#step(false)) continue;
      if (!(await this.#isInDialog())) break;
      await this.#leaveDialog();
    }
    for (let step = 0; step < more; step += 1) await this.#step(true);
    while (await this.#isInDialog()) await this.#leaveDialog();
    return left > 0;
  }
}
