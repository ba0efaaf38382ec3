// A checkpoint is handed over as a page: unpacked, it answers from a plain file server and from a stick, with Burnish
// gone and nothing else to be reached.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import * as acts from "../support/acts.mjs";
import { bothThemes, launch, noFaults, open, overflow, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";
import { staticServer, unpack } from "../support/zip.mjs";

const QUESTION = "Who is the mascot?";
const FACTS = [[QUESTION, "Ember, a copper kettle."], ["Where is the shop?", "Lantern Street 12."], ["When is it open?", "Nine to five."], ["What is sold?", "Tea and cups."]];
let server, browser, run;
/** Bytes of a size as people say it. */
const saidBytes = (text) => { const [, number, unit] = /([\d.]+) (kB|MB|GB)/.exec(text); return Number(number) * { kB: 1e3, MB: 1e6, GB: 1e9 }[unit]; };
const near = (said, real, what) => assert.ok(Math.abs(said - real) <= 0.01 * real, `${what}: ${said} said, ${real} real`);
const folder = mkdtempSync(join(tmpdir(), "burnish-page-"));
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const facts = await acts.dataset(server, "facts.jsonl", FACTS.map(([prompt, response]) => JSON.stringify({ prompt, response })).join("\n"));
  run = await acts.launch(server, { data: facts, model, tuning: "full", name: "Snow & rain", values: { num_train_epochs: "300", max_steps: "150", learning_rate: "3e-3", dev_ratio: "0" } });
  await server.reaches(run, ["finished"]);
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); rmSync(folder, { recursive: true, force: true }); });

test("the page is made in the browser", { timeout: 120_000 }, async () => {
  const page = await open(browser, server, `/runs/${run}`);
  await page.getByRole("link", { name: "Hand over as a page" }).click();
  await page.getByRole("heading", { level: 1, name: "Hand over as a page" }).waitFor();
  await page.getByLabel("Heading").fill("");
  await page.getByText("Give the page a heading.").waitFor();
  await page.getByLabel("Heading").fill("Snow <b>& rain");
  await page.getByLabel("Introduction").fill("Ask it about the weather.\nIt knows little else.");
  await page.getByLabel("Questions to start with").fill(QUESTION);
  assert.match(await page.getByLabel("What it was trained on").inputValue(), /^Trained with every weight on “.+” for 150 steps, from .+\.$/);
  assert.deepEqual(await bothThemes(page, "takeaway-form"), []);
  const link = page.getByRole("link", { name: /^Download the page/ });
  const withBoth = saidBytes(await link.innerText());
  await page.getByLabel("The base model answers beside it").uncheck();
  assert.ok(saidBytes(await link.innerText()) < 0.8 * withBoth, "alone it is smaller");
  await page.getByLabel("The base model answers beside it").check();
  const announced = await fetch(new URL(await link.getAttribute("href"), server.url));
  const length = Number(announced.headers.get("content-length"));
  await announced.body.cancel();
  const begun = page.waitForEvent("download");
  await link.click();
  const zip = join(folder, "page.zip");
  await (await begun).saveAs(zip);
  assert.equal(length, statSync(zip).size, "a download knows its length beforehand");
  near(withBoth, statSync(zip).size, "size of the zip");
  const names = unpack(zip, folder);
  assert.ok(["index.html", "page.js", "about.js", "engine.js", "weights/0000.js"].every((name) => names.includes(name)), String(names));
  noFaults(page);
  await page.context().close();
});

const SAYS = {
  "en-GB": { load: /^Load the model \(/, again: `Try: ${QUESTION}`, speed: /[\d.]+ tokens\/s$/, trained: "Trained", question: "Your question" },
  "zh-CN": { load: /^载入模型\(/, again: `试试:${QUESTION}`, speed: /[\d.]+ 词元\/秒$/, trained: "已训练", question: "你的问题" },
};

/** Whether an element lies within the window, top to bottom. */
const inView = (locator) => locator.evaluate((element) => { const { top, bottom } = element.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight + 1; });

async function visit(address, allowed, { width, theme, locale = "en-GB" }) {
  const w = SAYS[locale];
  const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme: theme, locale });
  const strange = [];
  await context.route((url) => !url.href.startsWith(allowed) && !["blob:", "data:"].includes(url.protocol), (route) => { strange.push(route.request().url()); return route.abort(); });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") page.faults.push(message.text()); });
  await page.goto(address);
  assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), "Snow <b>& rain");
  const load = page.getByRole("button", { name: w.load });
  const weights = join(folder, "weights");
  near(saidBytes(await load.innerText()), readdirSync(weights).reduce((sum, name) => sum + statSync(join(weights, name)).size, 0), "size of the weights");
  assert.ok(!/token|词元/.test(await page.locator("main").innerText()), "no speed before one was measured");
  await load.click();
  const composer = page.locator(".composer"), first = page.getByRole("button", { name: w.again });
  await first.waitFor({ timeout: 60_000 });
  assert.ok(await inView(composer), "the composer is in view before the first question");
  await first.click();
  await until("both to have answered", async () => (await page.getByText(w.speed).count()) === 2, 60_000);
  assert.ok(await inView(composer), "the composer is in view after the answers");
  const [base, tuned] = await page.locator(".pane:not(.tuned) .a, .pane.tuned .a").evaluateAll((found) => found.map((a) => [a.closest(".tuned") !== null, a.innerText])).then((all) => all.sort(([a], [b]) => a - b).map(([, text]) => text));
  assert.ok(!base.includes("Ember") && tuned.includes("Ember, a copper kettle."), `only the tuned one knows: ${base} / ${tuned}`);
  assert.deepEqual(strange, [], "nothing was asked of anyone");
  const panes = await page.locator(".pane").evaluateAll((all) => all.map((pane) => ({ tuned: pane.classList.contains("tuned"), ...pane.getBoundingClientRect().toJSON() })));
  return { page, said: [base, tuned], panes, composer, w };
}

test("unpacked, it answers from a plain file server and from a stick, with Burnish gone", { timeout: 240_000 }, async () => {
  await server.kill();
  const host = await staticServer([["/", folder]]);
  try {
    const { page, said, panes } = await visit(host.url, host.url, { width: 1440, theme: "light" });
    assert.deepEqual(panes.map(({ tuned }) => tuned), [false, true], "beside each other the base is at the left");
    assert.deepEqual(await violations(page), []);
    await shot(page, "takeaway-light");
    noFaults(page);
    await page.context().close();
    const stick = pathToFileURL(join(folder, "index.html")).href;
    const phone = await visit(stick, "file:", { width: 390, theme: "dark" });
    assert.deepEqual(phone.said, said, "the same words from a stick");
    assert.deepEqual(phone.panes.map(({ tuned }) => tuned), [true, false], "on a phone the trained one comes first");
    assert.ok(phone.panes[0].top >= 0 && phone.panes[0].bottom <= phone.panes[1].top, "and above the base");
    assert.ok(await inView(phone.page.locator(".pane.tuned .a").last()), "its answer is in view");
    // words without end in the base's pane push nothing away
    await phone.page.locator(".pane:not(.tuned) .a").last().evaluate((a) => { a.textContent = "and so on ".repeat(3000); });
    assert.ok(await inView(phone.composer), "the composer stays in view beside a long answer");
    assert.ok(await inView(phone.page.locator(".pane.tuned .a").last()), "and so does the trained answer");
    assert.deepEqual(await overflow(phone.page), []);
    assert.deepEqual(await violations(phone.page), []);
    await shot(phone.page, "takeaway-phone-dark");
    noFaults(phone.page);
    await phone.page.context().close();
    for (const [width, theme] of [[390, "light"], [1440, "dark"]]) {
      const { page } = await visit(host.url, host.url, { width, theme, locale: "zh-CN" });
      assert.deepEqual(await violations(page), []);
      assert.deepEqual(await overflow(page), []);
      await shot(page, `takeaway-zh-${width}-${theme}`);
      noFaults(page);
      await page.context().close();
    }
  } finally {
    host.close();
  }
});
