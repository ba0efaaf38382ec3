// The same studio in Firefox: the first page, the tour's question, both answers. The first press comes before the page
// answers, as on a slow line.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { Server, until } from "../support/server.mjs";

const results = new URL("../test-results/", import.meta.url).pathname;
/** Enough to tell two models apart. */
const LONGEST = 24;
let server, browser;
before(async () => {
  const executablePath = process.env.BURNISH_FIREFOX ?? "/usr/bin/firefox-esr";
  [server, browser] = await Promise.all([Server.start({ starter: true }), puppeteer.launch({ browser: "firefox", executablePath, headless: true })]);
}, { timeout: 120_000 });
after(async () => { await browser?.close(); await server?.stop(); });

test("in Firefox: try it now, stop, and ask both", { timeout: 420_000 }, async () => {
  assert.ok(!process.env.CI || process.env.BURNISH_STARTER, "the starter model must be at hand in CI");
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));

  /** A visible element by its selector and what it says; the page's policy forbids the driver's own way of looking. */
  const find = (selector, says) => until(`${selector} that says ${says}`, async () => {
    const found = await page.evaluateHandle((selector, source) => {
      const says = new RegExp(source);
      return [...document.querySelectorAll(selector)].find((element) => element.checkVisibility() && says.test(element.textContent));
    }, selector, says.source);
    return found.asElement();
  }, 60_000);
  const path = (wanted) => until(`the page ${wanted}`, async () => page.url().match(wanted), 120_000);

  await page.goto(`${server.url}/`, { waitUntil: "domcontentloaded" });
  await (await find("h1", /Teach a model/)).dispose();
  await (await find("button", /^Try it now/)).click();
  const [, id] = await path(/\/runs\/([0-9a-f-]{8,})$/);
  assert.equal((await server.call("list_runs")).length, 1, "one press, one run");
  await until("a step", async () => (await server.run(id)).summary.step >= 1, 240_000);
  await (await find("button", /^Stop and save/)).click();
  await server.reaches(id, ["stopped"], 60_000);
  await (await find("a", /^Ask it now/)).click();
  await path(/\/playground/);

  await (await find("button.settings-line", /./)).click();
  await (await find("#max_new_tokens", /^/)).click({ count: 3 });
  await page.keyboard.type(String(LONGEST));
  await (await find("dialog[open] .btn.primary", /Close/)).click();
  await (await find("button.suggestion", /\?/)).click();
  await until("both panes to have answered", () => page.evaluate(() => [...document.querySelectorAll(".pane-foot")].filter(({ textContent }) => /\d+ tokens\/s/.test(textContent)).length === 2), 180_000);
  const told = await page.evaluate(() => [...document.querySelectorAll(".pane")].map((pane) => ({
    question: pane.querySelector(".q").textContent,
    answer: pane.querySelector(".a").textContent,
    weights: pane.querySelector(".pane-foot span").textContent,
  })));
  assert.equal(told.length, 2);
  assert.ok(told.every(({ answer }) => answer.trim().length > 0), JSON.stringify(told));
  assert.equal(told[0].question, told[1].question);
  assert.notEqual(told[0].weights, told[1].weights, "two different sets of weights spoke");
  await page.screenshot({ path: `${results}firefox-compare.png` });
  assert.deepEqual(faults, []);
});
