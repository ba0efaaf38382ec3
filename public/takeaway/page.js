// A model that answers on this very page. Nothing is asked of anyone: all that is needed lies beside this file.
"use strict";
const { about, engine } = self;
const ZH = navigator.language.startsWith("zh");
const W = ZH ? {
  load: (size) => `载入模型(${size})`, loading: "正在载入模型", question: "你的问题", ask: "提问", stop: "停止", again: "新对话", try: "试试:",
  base: "原模型", tuned: "已训练", here: "一切都在本设备上计算,不发送任何内容。", license: "基础模型:{0},许可证:{1}。", unknown: "未注明", weights: "权重", speed: "词元/秒", vary: "回答可以变化", waiting: "正在准备", you: "你",
} : {
  load: (size) => `Load the model (${size})`, loading: "Loading the model", question: "Your question", ask: "Ask", stop: "Stop", again: "New conversation", try: "Try: ",
  base: "Base", tuned: "Trained", here: "Everything is computed on this device; nothing is sent anywhere.", license: "Base model: {0}, licence: {1}.", unknown: "not stated", weights: "weights", speed: "tokens/s", vary: "Vary the answers", waiting: "Getting ready", you: "You",
};
const SAY = ZH ? {
  "engine.simd": "本浏览器的 WebAssembly 没有向量指令,请使用 2023 年以后的浏览器。", "engine.memory": "本浏览器的内存不足,请关闭其他标签页后重新载入。", "engine.digest": "文件与应有的内容不符,请重新取得这个页面。", "page.piece": "缺少模型的一个文件,请重新取得这个页面。", "page.worker": "本浏览器无法运行这个页面里的模型。",
  "generation.prompt_too_long": "对话太长,请开始新对话。", "generation.scores": "模型给出的分数不是数,无法回答。", "template.refused": "模型的对话模板拒绝了这段对话。", "template.failed": "模型的对话模板运行出错。",
} : {
  "engine.memory": "This browser ran out of memory for the model. Close other tabs and load the page again.", "engine.digest": "A file of the model is not what it should be. Get this page again.", "page.piece": "A file of the model is missing. Get this page again.",
};
document.documentElement.lang = ZH ? "zh" : "en";
document.title = about.title;

/** An element with properties and children; texts are never read as markup. */
function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) key in made ? (made[key] = value) : made.setAttribute(key, value);
  made.append(...children);
  return made;
}
/** Bytes to three digits: `8.36 MB`, `145 MB`. */
const sizeOf = (bytes) => { const mb = bytes / 1e6; return mb < 999.5 ? `${mb < 99.95 ? mb.toPrecision(3) : mb.toFixed(0)} MB` : `${(mb / 1e3).toPrecision(3)} GB`; };
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The pieces of the files, each a script of its own; one at a time. */
let queue = Promise.resolve();
function bring(key, index) {
  const number = String(about.scripts[key].first + index).padStart(4, "0");
  const next = () => new Promise((done, failed) => {
    let bytes;
    self.piece = (text) => { bytes = bytesOf(text); };
    const script = el("script", { src: `weights/${number}.js` });
    script.onload = () => { script.remove(); bytes ? done(bytes) : failed(); };
    script.onerror = () => { script.remove(); failed(); };
    document.head.append(script);
  });
  const brought = queue.then(next);
  queue = brought.catch(() => {});
  return brought;
}

const source = URL.createObjectURL(new Blob([engine.worker], { type: "text/javascript" }));
const loadButton = el("button", { className: "primary", disabled: true, textContent: W.waiting });
const bar = el("progress", { hidden: true, ariaLabel: W.loading });
const status = el("p", { className: "small", role: "status" });
const input = el("textarea", { id: "question", rows: 1, placeholder: W.question, ariaLabel: W.question });
const askButton = el("button", { className: "primary", textContent: W.ask });
const vary = el("input", { type: "checkbox" });

/** One who answers. */
function Voice(voice) {
  const parcel = { ...voice.parcel, files: voice.parcel.files.map((file) => ({ ...file, pieces: about.scripts[file.key].pieces })) };
  const talk = el("div", { className: "talk", role: "log", ariaLive: "polite", tabIndex: 0, ariaLabel: voice.tuned ? W.tuned : W.base });
  const foot = el("p", { className: "small foot" });
  const pane = el("section", { className: voice.tuned ? "pane tuned" : "pane", ariaLabel: voice.tuned ? W.tuned : W.base }, el("h2", {}, voice.tuned ? W.tuned : W.base), talk, foot);
  const worker = new Worker(source);
  const self = { pane, tuned: voice.tuned, bytes: 0, loaded: 0, busy: false, ready: false, messages: [] };
  let answer, digest;
  const speeds = [];
  const over = () => { self.busy = false; changed(); };
  /** What answered, and how fast its answers here have been: their median. */
  const foots = () => { const speed = median(speeds); foot.textContent = [`${W.weights} ${digest}`, ...(speed ? [`${speed.toFixed(speed < 10 ? 1 : 0)} ${W.speed}`] : [])].join(" · "); };
  const say = {
    ready: ({ bytes }) => { Object.assign(self, { bytes, opened: true }); changed(); },
    want: ({ key, index }) => bring(key, index).then((bytes) => worker.postMessage({ type: "piece", bytes }), () => say.refused({ problem: { code: "page.piece" } })),
    progress: ({ loaded }) => { self.loaded = loaded; changed(); },
    loaded: () => { self.ready = true; changed(); },
    refused: ({ problem }) => { talk.append(el("p", { className: "wrong", role: "alert" }, SAY[problem.code] ?? problem.message)); self.refused = true; changed(); },
    ready_: (news) => { digest = news.digest; foots(); },
    text: ({ text }) => { answer.textContent += text; talk.scrollTop = talk.scrollHeight; },
    done: ({ tokens, tokens_per_second: speed }) => { if (tokens > 1) speeds.push(speed); foots(); self.messages.push({ role: "assistant", content: answer.textContent }); over(); },
    error: ({ problem }) => { answer.className = "wrong"; answer.textContent = SAY[problem.code] ?? problem.message; self.messages.pop(); over(); },
  };
  worker.onmessage = ({ data }) => { const news = JSON.parse(data); (news.digest ? say.ready_ : say[news.type])?.(news); };
  worker.onerror = () => say.refused({ problem: { code: "page.worker", message: "This browser does not run the model's worker." } });
  worker.postMessage({ type: "open", wasm: bytesOf(engine.wasm), what: parcel });
  self.load = () => worker.postMessage({ type: "load" });
  self.stop = () => worker.postMessage({ type: "cancel" });
  self.clear = () => { self.messages = []; talk.replaceChildren(); };
  self.ask = (question) => {
    self.busy = true;
    self.messages.push({ role: "user", content: question });
    answer = el("p", { className: "a" });
    talk.append(el("p", { className: "q" }, el("span", { className: "hidden" }, `${W.you}: `), question), answer);
    worker.postMessage({ target: voice.target, messages: self.messages, settings: { ...about.settings, do_sample: vary.checked } });
  };
  return self;
}

const voices = about.voices.map(Voice);
const all = (key) => voices.every((voice) => voice[key]);
const busy = () => voices.some((voice) => voice.busy);
let asked = false;

/** Brings the page up to date. */
function changed() {
  const sum = (key) => voices.reduce((total, voice) => total + voice[key], 0);
  const ready = all("ready");
  if (all("opened") && !asked) {
    loadButton.disabled = false;
    loadButton.textContent = W.load(sizeOf(about.bytes));
  }
  loadButton.hidden = asked;
  bar.hidden = !asked || ready || voices.some((voice) => voice.refused);
  Object.assign(bar, { max: Math.max(1, sum("bytes")), value: sum("loaded") });
  status.textContent = ready ? W.here : asked && !bar.hidden ? W.loading : "";
  composer.hidden = !ready;
  askButton.textContent = busy() ? W.stop : W.ask;
  suggestions.hidden = !ready || voices.some((voice) => voice.messages.length > 0);
}

function ask(question) {
  if (!question.trim() || busy() || !all("ready")) return;
  for (const voice of voices) voice.ask(question.trim());
  input.value = "";
  changed();
  if (narrow.matches) panes.scrollIntoView({ block: "start" });
}

loadButton.onclick = () => { asked = true; for (const voice of voices) voice.load(); changed(); };
askButton.onclick = () => { busy() ? voices.forEach((voice) => voice.stop()) : ask(input.value); };
input.onkeydown = (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(input.value); } };
const again = el("button", { textContent: W.again, onclick: () => { if (!busy()) { for (const voice of voices) voice.clear(); changed(); } } });
const suggestions = el("p", { className: "row", hidden: true }, ...about.prompts.map((prompt) => el("button", { textContent: W.try + prompt, onclick: () => ask(prompt) })));
const composer = el("div", { className: "composer", hidden: true }, input, askButton, el("div", { className: "row" }, again, el("label", { className: "small" }, vary, ` ${W.vary}`)));
const license = W.license.replace("{0}", about.base).replace("{1}", about.license ?? W.unknown);
const paragraphs = about.introduction.split(/\n+/).filter(Boolean).map((text) => el("p", {}, text));
const panes = el("div", { className: voices.length > 1 ? "panes two" : "panes" });
/** On a phone the trained one stands first, in a reader's order too; beside each other the base is at the left. */
const narrow = matchMedia("(max-width: 44rem)");
narrow.onchange = () => panes.append(...voices.toSorted((a, b) => (narrow.matches ? b.tuned - a.tuned : a.tuned - b.tuned)).map(({ pane }) => pane));
narrow.onchange();
document.getElementById("main").append(
  el("header", {}, el("h1", {}, about.title), ...paragraphs),
  el("div", { className: "row" }, loadButton, bar, status),
  suggestions,
  panes,
  composer,
  el("footer", { className: "small" }, ...(about.trained ? [el("p", {}, about.trained)] : []), el("p", {}, license)),
);
