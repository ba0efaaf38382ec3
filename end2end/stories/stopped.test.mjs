// A page whose code has stopped says so in the visitor's language, and what was typed is there again after a reload.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, launch, noFaults, open, overflow } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); }, { timeout: 60_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const bar = (page) => page.getByRole("alert").filter({ has: page.locator("button") });
const kept = (page) => page.evaluate(() => JSON.stringify(sessionStorage));
const hydrated = (page) => page.locator("html[data-hydrated]").waitFor({ state: "attached" });

/** Traps as Rust's panics do: by WebAssembly's instruction `unreachable`, in a task of its own. */
const trap = (page) => page.evaluate(() => {
  // (module (func (export "f") unreachable))
  const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11];
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(code))).exports;
  setTimeout(f);
});

test("a panic while the app takes over shows the bar", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, "/help");
  // Markup that is not what the app draws: it panics, as it must.
  await page.route("**/settings", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace(/<main/, "<table").replace("</main>", "</table>") });
  });
  await page.goto("/settings");
  await bar(page).waitFor();
  assert.ok(page.faults.some((fault) => /panicked at/.test(fault)), "it was a panic of the app");
  await page.unroute("**/settings");
  await bar(page).getByRole("button").click();
  await hydrated(page);
  assert.equal(await bar(page).count(), 0);
  await page.context().close();
});

for (const [name, spoil] of [["cannot be had", (route) => route.abort()], ["is broken", async (route) => {
  const answer = await route.fetch();
  await route.fulfill({ response: answer, headers: { "content-type": "application/wasm" }, body: (await answer.body()).subarray(0, 5000) });
}]]) {
  test(`the bar is shown when the app's code ${name}`, { timeout: 60_000 }, async () => {
    const page = await open(browser, server, "/help");
    await page.route("**/pkg/*.wasm", spoil);
    await page.goto("/settings");
    await bar(page).waitFor();
    await page.context().close();
  });
}

for (const [locale, width] of [["en-GB", 1440], ["zh-CN", 390]]) {
  test(`what was typed is there again, ${locale}, ${width} px`, { timeout: 120_000 }, async () => {
    const page = await open(browser, server, "/templates", { locale, width });
    await page.locator("#start-from").selectOption("vicuna");
    await page.locator("#template-name").fill("Ours & theirs <b>");
    await page.locator("#prompt").fill("Q: {query}\nA: 茶");
    await page.locator("#history").uncheck();
    await page.evaluate(() => document.querySelector("#main form, #main section").insertAdjacentHTML("beforeend", '<input type="password" id="secret" aria-label="Secret" value="hush-hush">'));
    await trap(page);
    await bar(page).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), locale.startsWith("zh") ? "zh-CN" : "en");
    assert.match(await bar(page).innerText(), locale.startsWith("zh") ? /\p{Script=Han}/u : /[a-z]/);
    assert.doesNotMatch(await kept(page), /hush-hush/);
    assert.deepEqual(await bothThemes(page, `stopped-${locale}-${width}`), []);
    assert.deepEqual(await overflow(page), []);
    page.faults = [];
    await bar(page).getByRole("button").click();
    await hydrated(page);
    await page.waitForFunction(() => document.querySelector("#history").checked === false && document.querySelector("#prompt").value.endsWith("茶"));
    assert.equal(await page.locator("#template-name").inputValue(), "Ours & theirs <b>");
    // The app itself has taken it, not the boxes alone: it starts from what it holds.
    await page.getByRole("button", { name: locale.startsWith("zh") ? "保存" : "Save" }).click();
    await page.getByText("Ours & theirs <b>", { exact: true }).waitFor();
    noFaults(page);
    await page.context().close();
  });
}

test("a page that stops at what is put back does not stop for ever", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, "/help");
  await page.addInitScript(() => document.addEventListener("change", ({ target }) => {
    if (target.id === "history") setTimeout(() => { throw new WebAssembly.RuntimeError("unreachable"); });
  }, true));
  await goto(page, "/templates");
  await page.locator("#template-name").fill("Ours");
  await page.locator("#history").uncheck();
  for (const _ of ["at the choice", "as it is put back"]) {
    await bar(page).waitFor();
    await bar(page).getByRole("button").click();
    await hydrated(page);
  }
  await page.waitForFunction(() => document.querySelector("#template-name").value === "Ours");
  assert.equal(await page.locator("#history").isChecked(), true, "the box is as it was at first");
  assert.equal(await bar(page).count(), 0);
  await page.context().close();
});

test("a long form is there again as it was left", { timeout: 120_000 }, async () => {
  const rows = Array.from({ length: 30 }, (_, i) => JSON.stringify({ prompt: `Where is cup ${i}?`, response: `On shelf ${i % 7}.` }));
  await acts.scratchModel(server, await acts.dataset(server, "cups.jsonl", Buffer.from(rows.join("\n"))));
  const page = await open(browser, server, "/runs/new");
  await page.locator("input[name=tuning][value=lora]").check();
  await page.locator("#template").selectOption("vicuna");
  await page.locator("#system").fill("You pour tea.");
  await page.locator("#name").fill("Cups");
  await page.locator("#learning_rate").fill("3e-4");
  await page.locator(".expert summary").click();
  await page.locator("#lr_scheduler_type").selectOption("linear");
  await page.locator(".names .check").filter({ hasText: "q_proj" }).getByRole("checkbox").check();
  const form = () => page.evaluate(() => JSON.stringify([...document.querySelectorAll("main input, main select, main textarea, main details")].map((one) => [one.id, one.open, one.checked, one.value])));
  const left = await form();
  await trap(page);
  await bar(page).getByRole("button").click();
  await hydrated(page);
  await until("the form to be as it was left", async () => (await form()) === left, 15_000);
  assert.deepEqual(page.faults.filter((fault) => !/unreachable/.test(fault)), []);
  await page.context().close();
});

test("the bar is within reach when a dialog is open", { timeout: 60_000 }, async () => {
  await server.call("save_template", { template: { name: "Plain", prefix: "", system: "", prompt: "Q: {query}\nA: ", sep: "\n", use_history: true, stop_words: [] } });
  const page = await open(browser, server, "/templates");
  await page.getByRole("button", { name: "Delete Plain" }).click();
  await page.locator("dialog:modal").waitFor();
  await trap(page);
  await bar(page).getByRole("button").click();
  await hydrated(page);
  assert.equal(await bar(page).count(), 0);
  await page.context().close();
});

test("what a person has used after the reload stays as it is, and the rest is put back", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, "/templates");
  await page.locator("#template-name").fill("Ours");
  await page.locator("#stops").fill("###");
  // A field that comes late, so that the rest is still waited for when the person types.
  const late = () => page.evaluate(() => document.querySelector("main").insertAdjacentHTML("beforeend", '<input id="late" aria-label="Late">'));
  await late();
  await page.locator("#late").fill("later");
  await trap(page);
  await bar(page).getByRole("button").click();
  await hydrated(page);
  await page.waitForFunction(() => document.querySelector("#stops").value === "###");
  await page.locator("#template-name").click();
  await page.keyboard.press("End");
  await page.keyboard.type(" too");
  await late();
  await page.waitForFunction(() => document.querySelector("#late").value === "later");
  assert.equal(await page.locator("#template-name").inputValue(), "Ours too");
  await page.context().close();
});
