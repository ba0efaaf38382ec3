// Text of people is text wherever it is shown: forty ways to become markup or code, in every place that a page puts text of
// people, and nothing of it runs, loads, or becomes an element.
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { hydrated, launch, noFaults, open } from "../support/browser.mjs";
import { Hopeless, Server, until } from "../support/server.mjs";

/** What runs sets `globalThis.hit`; what becomes an element has the attribute `data-hit`. */
const PAYLOADS = [
  "<script data-hit>hit=1</script>",
  "</title><script data-hit>hit=1</script>",
  "</title><meta data-hit http-equiv=refresh content=\"0;url=/help\">",
  "</title><style data-hit>*{display:none}</style>",
  "</textarea><script data-hit>hit=1</script>",
  "</script><script data-hit>hit=1</script>",
  "</style><script data-hit>hit=1</script>",
  "</noscript><img data-hit src=x onerror=hit=1>",
  "</option></select><img data-hit src=x onerror=hit=1>",
  "</td></tr></table><img data-hit src=x onerror=hit=1>",
  "</svg><img data-hit src=x onerror=hit=1>",
  "</template><iframe data-hit src=/help></iframe>",
  "--><img data-hit src=x onerror=hit=1><!--",
  "<!--><img data-hit src=x onerror=hit=1>-->",
  "<![CDATA[<img data-hit src=x onerror=hit=1>]]>",
  "<?xml version=\"1.0\"?><b data-hit>",
  "<img data-hit src=x onerror=alert(1)>",
  "<img data-hit/src='x'/onerror='hit=1'>",
  "<svg data-hit onload=hit=1>",
  "<svg data-hit><animate onbegin=hit=1 attributeName=x dur=1s>",
  "<math data-hit><mi xlink:href=\"javascript:hit=1\">x</mi></math>",
  "<iframe data-hit srcdoc=\"<script>parent.hit=1</script>\">",
  "<object data-hit data=\"javascript:hit=1\"></object>",
  "<a data-hit href=\"javascript:hit=1\">here</a>",
  "<form data-hit action=/api/delete_run><input autofocus onfocus=hit=1>",
  "<base data-hit href=\"https://example.com/\">",
  "<link data-hit rel=stylesheet href=\"data:text/css,*{color:red}\">",
  "<details data-hit open ontoggle=hit=1>x</details>",
  "<video data-hit><source onerror=hit=1></video>",
  "<body data-hit onload=hit=1>",
  "\" data-hit autofocus onfocus=hit=1 x=\"",
  "' data-hit autofocus onfocus=hit=1 x='",
  "javascript:hit=1",
  "{{constructor.constructor('hit=1')()}}",
  "${hit=1}`;hit=1;//",
  "\\\";hit=1;//",
  "\\u003cimg data-hit src=x onerror=hit=1\\u003e",
  "&lt;img data-hit src=x onerror=hit=1&gt;&#60;b data-hit&#62;",
  "<scr\u0000ipt data-hit>hit=1</scr\u0000ipt>\u2028hit=1\u2029",
  "\u0000",
];
assert.equal(PAYLOADS.length, 40);
/** What a page's text is of a text: white space is one space, what nobody sees is a sign or nothing. */
const seen = (text) => text.replaceAll("\u0000", "").replace(/\s+/g, " ").trim();
/** Those that people may type as a name. */
const NAMES = PAYLOADS.filter((text) => !text.includes("\u0000"));

let server, browser, data, run;
const datasets = [];
/** Pages that are looked at next to each other. */
const TABS = 4;

/** Takes a dataset in whose title, file name, columns and cells are the same text. */
async function upload(text, at) {
  const rows = [{ prompt: text, response: text, [`${text} `]: text }, { prompt: `${text} ${text}`, response: `\n${text}`, [`${text} `]: "" }];
  const query = new URLSearchParams({ name: `${text.replaceAll(/[/\\]/g, "")}${at}.jsonl`, title: text });
  const headers = { origin: server.url, "sec-fetch-site": "same-origin" };
  const answer = await fetch(`${server.url}/api/v1/uploads?${query}`, { method: "POST", headers, body: rows.map((row) => JSON.stringify(row)).join("\n") });
  if (!answer.ok) throw new Error(`${JSON.stringify(text)}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

before(async () => {
  process.env.HF_HUB_OFFLINE = "1";
  [server, browser] = await Promise.all([Server.start(), launch()]);
  for (const [at, text] of PAYLOADS.entries()) datasets.push(await upload(text, at));
  data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const queued = [];
  for (const [at, name] of NAMES.entries()) {
    await server.call("save_template", { template: { name, prefix: name, prompt: `${name}{query}`, stop_words: [name] } });
    const template = `user:${JSON.stringify({ name, prompt: `${name}{query}` })}`;
    const draft = { name, dataset: datasets[at].id, model: model.id, template, system: name, stage: "sft", tuning: "full", values: { max_steps: "1", dev_ratio: "0" } };
  
    queued.push(await server.call("launch_run", { draft }));
    if (at > 0) await server.call("stop_run", { id: queued.at(-1) }).catch(() => { /* it ended by itself meanwhile */ });
  }
  run = queued[0];
  // A folder that holds no model is refused with the name it was given, and stays in the list.
  for (const name of NAMES) {
    const upload = `up-${NAMES.indexOf(name)}`;
    const answer = await fetch(`${server.url}/api/v1/uploads?kind=model&upload=${upload}&name=config.json`, { method: "POST", headers: { origin: server.url }, body: JSON.stringify({ architectures: [name], model_type: name }) });
    assert.ok(answer.ok, await answer.text());
    await server.call("create_model", { new: { from: "upload", name, upload } });
  }
  await until("every import to have failed", async () => (await server.call("list_models")).every(({ state }) => state !== "importing"), 120_000);
  const view = await server.reaches(run, ["finished", "failed"]).catch((error) => { if (!(error instanceof Hopeless)) throw error; return server.run(run); });
  const attempts = join(server.dataDir, "runs", run, "attempts");
  for (const attempt of readdirSync(attempts)) writeFileSync(join(attempts, attempt, "stderr.log"), PAYLOADS.map((text) => `\u001b[31m${text}\u001b[0m`).join("\n"));
  assert.ok(view.attempt >= 1);
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

/** A page that keeps what a payload sets, what the policy refuses and what it shows in dialogs. */
async function watched(options = {}) {
  const page = await open(browser, server, undefined, options);
  page.on("dialog", (dialog) => { page.faults.push(`a dialog: ${dialog.message()}`); return dialog.dismiss(); });
  await page.addInitScript(() => {
    globalThis.refused = [];
    addEventListener("securitypolicyviolation", ({ violatedDirective, sourceFile, sample }) => globalThis.refused.push(`${violatedDirective} ${sourceFile} ${sample}`));
  });
  return page;
}

/** Nothing of the texts has become anything but text. */
async function isText(page, where) {
  const found = await page.evaluate(() => {
    const foreign = "[data-hit], iframe, object, embed, base, meta[http-equiv], style, img, video, audio, math, marquee, body link, body script:not([nonce]), main template, main form[action]";
    const active = [...document.querySelectorAll("*")].filter(({ attributes }) => [...attributes].some(({ name, value }) => name.startsWith("on") || name === "style" || /^\s*javascript:/i.test(value) && name !== "value" && name !== "content" && !name.startsWith("aria-") && name !== "title" && name !== "placeholder"));
    return { hit: globalThis.hit ?? null, refused: globalThis.refused, foreign: [...document.querySelectorAll(foreign), ...active].map((element) => element.outerHTML.slice(0, 200)), stopped: document.querySelectorAll("body > .stopped").length, path: location.pathname };
  });
  const { path } = found;
  assert.deepEqual(found, { hit: null, refused: [], foreign: [], stopped: 0, path }, where);
  assert.equal(page.faults.length, 0, `${where}: ${page.faults.join("\n")}`);
}

/** Opens each path in one of a few tabs and looks at it. */
async function each(paths, look, options) {
  const waiting = [...paths];
  await Promise.all(Array.from({ length: TABS }, async () => {
    const page = await watched(options);
    for (let path; (path = waiting.shift()) !== undefined;) {
      await page.goto(path.at);
      await hydrated(page).catch((error) => { noFaults(page); throw error; });
      await isText(page, path.at);
      await look?.(page, path);
      await isText(page, path.at);
    }
    await page.context().close();
  }));
}

test("titles, file names, columns and cells of datasets", { timeout: 120_000 }, async () => {
  await each(datasets.map((view, at) => ({ at: `/datasets/${view.id}`, text: PAYLOADS[at], view })), async (page, { text, view }) => {
    assert.equal(seen(await page.title()), seen(`${view.name} · Burnish`));
    if (seen(text) !== "") assert.equal(seen(view.name), seen(text), "the name is what was typed, but for what nobody sees");
    const cells = await page.locator(".data-rows tbody tr").first().locator(".cell").allTextContents();
    assert.equal(seen(cells[0].replaceAll("\ufffd", "")), seen(text));
  });
});

test("names and texts of runs, templates and models", { timeout: 120_000 }, async () => {
  const runs = (await server.call("list_runs")).filter(({ id }) => id !== run);
  const some = runs.filter((_, at) => at % 6 === 0);
  await each(some.map((one) => ({ at: `/runs/${one.id}`, one })), async (page, { one }) => {
    assert.ok(seen(await page.title()).includes(seen(one.name)), await page.title());
    await page.locator("summary").last().click();
  });
  const lists = [["/runs", runs.map(({ name }) => name)], ["/models", NAMES], ["/templates", NAMES], ["/datasets", NAMES], ["/runs/new", []], ["/playground", []], ["/", []], [`/datasets/${data.id}/health`, []]];
  await each(lists.map(([at, names]) => ({ at, names })), async (page, { at, names }) => {
    const text = seen(await page.locator("main").innerText());
    for (const name of names) assert.ok(text.includes(seen(name)), `${at} shows ${name}`);
  });
  await each(lists.slice(0, 5).map(([at]) => ({ at })), undefined, { locale: "zh-CN" });
});

test("addresses that people are sent", { timeout: 60_000 }, async () => {
  const odd = PAYLOADS.filter((_, at) => at % 10 === 2).map(encodeURIComponent);
  const paths = odd.flatMap((text) => [`/datasets/${data.id}?find=${text}`, `/runs/new?dataset=${text}&model=${text}`, `/playground?run=${text}`, `/nowhere/${text}`]);
  await each(paths.map((at) => ({ at })));
});

test("log lines, questions, problems, registers", { timeout: 120_000 }, async () => {
  const page = await watched();
  await page.goto(`/runs/${run}`);
  await hydrated(page);
  await page.locator("summary", { hasText: "Log" }).click();
  await until("the log to be read", async () => (await page.locator(".log").innerText()).includes("hit=1;//"));
  await isText(page, "the log");

  await page.goto("/playground");
  await hydrated(page);
  await page.getByLabel("Your question").fill(NAMES.join("\n"));
  await page.keyboard.press("Enter");
  await page.locator(".talk .q").last().waitFor();
  assert.ok(seen(await page.locator(".talk .q").last().innerText()).includes(seen(NAMES.at(-1))));
  await isText(page, "the question");

  await page.goto("/datasets");
  await hydrated(page);
  const alert = page.locator("[aria-labelledby=upload] [role=alert]");
  for (const [at, text] of NAMES.entries()) {
    // A column that stands there twice is named; a kind of file that is not read is named as well.
    const key = JSON.stringify(text);
    const files = [[`${at}.jsonl`, `{${key}: 1, ${key}: 2}`], [`${text.replaceAll(/[/\\]/g, "")}.docx`, "x"]];
    for (const [name, body] of files.slice(at % 2, at % 2 + 1)) {
      await page.locator("input[type=file][name=file]").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(body) });
      const word = at % 2 === 0 ? text : name;
      await until(`a problem that names ${word}`, async () => seen(await alert.innerText()).includes(seen(word)), 10_000, 30);
    }
  }
  await isText(page, "problems of uploads");

  const entries = PAYLOADS.map((text) => [text, { file_name: "x.jsonl", [`${text} key`]: 1 }]);
  const scripts = NAMES.map((text, at) => [`script ${at}`, { script_url: text }]);
  const register = JSON.stringify(Object.fromEntries([...entries, ...scripts, ["hub", { hf_hub_url: NAMES[0] }]]));
  await page.locator("input[type=file][name=register]").setInputFiles({ name: "dataset_info.json", mimeType: "application/json", buffer: Buffer.from(register) });
  await page.locator(".register li").nth(PAYLOADS.length + NAMES.length).waitFor();
  await isText(page, "a register");

  await page.goto("/models");
  await hydrated(page);
  for (const text of NAMES.filter((_, at) => at % 8 === 0)) {
    await page.locator("#hub-text").fill(text.slice(0, 90));
    await page.locator("#hub-text").press("Enter");
    await page.getByRole("button", { name: "Search" }).and(page.locator(":enabled")).first().waitFor();
  }
  await isText(page, "the hub");
  await page.context().close();
});
