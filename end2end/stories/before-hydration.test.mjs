// A slow phone: the page is there to see long before it answers. What is pressed, typed or chosen meanwhile is heard at
// once and carried out once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, hydrated, launch, noFaults, open, openEarly, overflow, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

const sample = fileURLToPath(new URL("../../public/samples/kettle-and-co.jsonl", import.meta.url));
const PHONE = { width: 390, height: 844 };
let server, browser, model;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  model = await acts.scratchModel(server, await acts.dataset(server));
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const busy = (page) => page.locator(":is(button, label, textarea)[aria-busy=true]");
const note = (page) => page.locator(".early");

/** Every call of a server function or an upload that a page makes, by its last part. */
function calls(page) {
  const made = [];
  page.on("request", (request) => { if (request.method() === "POST") made.push(new URL(request.url()).pathname.split("/").at(-1)); });
  return (name) => made.filter((one) => one.startsWith(name)).length;
}

test("Try it now starts one run, however often it was pressed", { timeout: 120_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/", PHONE);
  const made = calls(page);
  const button = page.getByRole("button", { name: /Try it now/ });
  await button.click();
  await busy(page).waitFor();
  await note(page).filter({ hasText: /./ }).waitFor();
  assert.equal(await note(page).getAttribute("role"), "status");
  await button.click();
  assert.deepEqual(await bothThemes(page, "early-start-390"), []);
  assert.deepEqual(await overflow(page), []);
  await land();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/, { timeout: 60_000 });
  assert.equal(made("start_tour"), 1);
  assert.equal(await note(page).count(), 0, "the note is gone");
  const id = page.url().split("/").at(-1);
  await server.reaches(id, ["running", "finished"]);
  await page.getByRole("button", { name: "Stop and save" }).click();
  await server.reaches(id, ["stopped", "finished"], 60_000);
  noFaults(page);
  await page.context().close();
});

test("Start the run launches what was typed and chosen", { timeout: 120_000 }, async () => {
  const { page, land } = await openEarly(browser, server, `/runs/new?model=${model.id}`);
  const made = calls(page);
  await page.getByRole("radio", { name: /^Some blocks/ }).check();
  await page.locator("#name").fill("Typed early");
  await page.locator("#num_train_epochs").fill("7");
  await page.locator("#per_device_train_batch_size").fill("8");
  await page.getByRole("button", { name: "Start the run" }).click();
  await busy(page).waitFor();
  await bothThemes(page, "early-new-run-1440");
  await land();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/);
  assert.equal(made("launch_run"), 1);
  const id = page.url().split("/").at(-1);
  const { summary, hyper } = await server.run(id);
  assert.deepEqual([summary.name, summary.tuning, hyper.num_train_epochs, hyper.per_device_train_batch_size], ["Typed early", "freeze", 7, 8]);
  await server.call("stop_run", { id });
  noFaults(page);
  await page.context().close();
});

test("what was typed and chosen reaches the page, in its order, without a press", { timeout: 60_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/runs/new");
  await page.locator("input[name=tuning][value=lora]").check();
  await page.locator("#num_train_epochs").fill("5");
  await page.locator("#num_train_epochs").fill("9");
  await page.locator("#system").fill("Answer briefly.");
  await page.locator("#template").selectOption("alpaca");
  await land();
  assert.equal(await page.locator("#num_train_epochs").inputValue(), "9");
  assert.equal(await page.locator("#system").inputValue(), "Answer briefly.");
  assert.equal(await page.locator("#template").inputValue(), "alpaca");
  assert.ok(await page.locator("input[name=tuning][value=lora]").isChecked());
  await page.locator("#lora_rank").waitFor();
  await page.locator(".bar").getByText(/ 9 rounds/).waitFor();
  noFaults(page);
  await page.context().close();
});

test("what a stopped page had kept comes back, except where somebody has typed since", { timeout: 60_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/runs/new");
  await page.evaluate(() => sessionStorage.setItem("burnish:typed:/runs/new", JSON.stringify([{ id: "name", tag: "input", value: "Kept" }, { id: "system", tag: "textarea", value: "Kept words." }])));
  await page.locator("#name").fill("Typed since");
  await land();
  await until("the rest to come back", async () => (await page.locator("#system").inputValue()) === "Kept words.", 15_000);
  assert.equal(await page.locator("#name").inputValue(), "Typed since");
  noFaults(page);
  await page.context().close();
});

for (const way of ["with the button", "with the Enter key"]) {
  test(`Ask asks once, ${way}`, { timeout: 90_000 }, async () => {
    const { page, land } = await openEarly(browser, server, "/playground", PHONE);
    const sockets = [];
    page.on("websocket", (socket) => { if (socket.url().endsWith("/ws/chat")) sockets.push(socket); });
    await page.locator("#question").fill("How do you say snow?");
    if (way === "with the button") await page.getByRole("button", { name: /^Ask/ }).click();
    else await page.locator("#question").press("Enter");
    await busy(page).waitFor();
    await bothThemes(page, "early-ask-390");
    await land();
    await page.getByText(/\d+ tokens\/s/).first().waitFor({ timeout: 60_000 });
    const panes = await page.locator(".pane").count();
    assert.equal(sockets.length, panes, "each model was asked once");
    assert.equal(await page.locator(".talk .q, .q").filter({ hasText: "How do you say snow?" }).count(), panes);
    assert.equal(await page.locator("#question").inputValue(), "");
    noFaults(page);
    await page.context().close();
  });
}

for (const way of ["chosen", "dropped"]) {
  test(`a file that was ${way} is uploaded once`, { timeout: 60_000 }, async () => {
    const { page, land } = await openEarly(browser, server, "/datasets");
    const made = calls(page);
    if (way === "chosen") {
      await page.locator("input[type=file][name=file]").setInputFiles(sample);
    } else {
      const dropped = await page.evaluateHandle(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(['{"instruction":"Who?","output":"Ember."}\n'], "dropped.jsonl"));
        return transfer;
      });
      await page.locator(".drop").dispatchEvent("drop", { dataTransfer: dropped });
    }
    await busy(page).waitFor();
    await shot(page, `early-upload-${way}`);
    await land();
    await page.waitForURL(/\/datasets\/[0-9a-f-]+$/);
    assert.equal(made("uploads"), 1);
    noFaults(page);
    await page.context().close();
  });
}

test("a search before the page answers searches, and its page stays", { timeout: 60_000 }, async () => {
  const [{ id }] = await server.call("list_datasets");
  const { page, land } = await openEarly(browser, server, `/datasets/${id}`);
  await page.locator("#find-rows").fill("kettle");
  await page.locator("#find-rows").press("Enter");
  await busy(page).waitFor();
  const made = calls(page);
  await land();
  await until("the search to be made", () => made("dataset_rows") > 0, 15_000);
  assert.equal(new URL(page.url()).search, "", "the form was not sent to the server");
  assert.equal(await page.locator("#find-rows").inputValue(), "kettle");
  await page.context().close();
});

test("a press is dropped when its page is left", { timeout: 60_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/");
  const made = calls(page);
  await page.getByRole("button", { name: /Try it now/ }).click();
  await busy(page).waitFor();
  await page.getByRole("link", { name: "Settings" }).click({ noWaitAfter: true });
  await page.waitForURL(/\/settings$/, { waitUntil: "commit" });
  await land();
  assert.equal(made("start_tour"), 0);
  assert.equal(await busy(page).count(), 0);
  await page.context().close();
});

test("after a minute a press is given up with a word, and what was typed stays", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, undefined, { ...PHONE, locale: "zh-CN" });
  await page.clock.install();
  let land;
  const way = new Promise((done) => (land = done));
  await page.route(/burnish_bg\.wasm/, async (route) => { await way; await route.continue(); });
  await page.goto("/playground", { waitUntil: "commit" });
  await page.locator("#question").fill("雪怎么说?");
  await page.locator(".composer-line button").click();
  await busy(page).waitFor();
  await page.clock.runFor(61_000);
  assert.equal(await busy(page).count(), 0);
  await note(page).filter({ hasText: /没有执行/ }).waitFor();
  await shot(page, "early-late-zh-390");
  const made = [];
  page.on("websocket", (socket) => made.push(socket.url()));
  land();
  await page.clock.resume();
  await hydrated(page);
  assert.equal(await page.locator("#question").inputValue(), "雪怎么说?");
  assert.deepEqual(made.filter((url) => url.endsWith("/ws/chat")), [], "nothing was asked");
  noFaults(page);
  await page.context().close();
});

test("where the pages' script cannot be had, every press says so", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, undefined, PHONE);
  await page.route(/burnish_bg\.wasm/, (route) => route.abort());
  const broken = page.waitForEvent("pageerror");
  await page.goto("/");
  await broken;
  await page.getByRole("button", { name: /Try it now/ }).click();
  await note(page).filter({ hasText: /not done/ }).waitFor();
  const [bar, said] = await Promise.all([page.locator(".stopped"), note(page)].map((one) => one.boundingBox()));
  assert.ok(bar.y + bar.height <= said.y, "the bar that says why does not hide it");
  await shot(page, "early-broken-390");
  assert.equal(await busy(page).count(), 0);
  await page.context().close();
});

for (const [locale, words] of [["en-GB", /needs JavaScript/], ["zh-CN", /需要 JavaScript/]]) {
  test(`without JavaScript every page says what it takes, ${locale}`, { timeout: 60_000 }, async () => {
    for (const [theme, width] of [["light", 390], ["dark", 1440]]) {
      const page = await open(browser, server, undefined, { javaScriptEnabled: false, locale, width, theme });
      for (const path of ["/", "/runs/new", "/playground", "/datasets", "/models", "/settings"]) {
        await page.goto(path, { waitUntil: "domcontentloaded" });
        assert.match(await page.locator("noscript").innerText(), words, path);
        assert.ok(await page.locator("noscript").isVisible(), path);
      }
      await page.goto("/");
      await shot(page, `no-script-${locale}-${theme}-${width}`);
      await page.context().close();
    }
    const page = await open(browser, server, "/", { locale });
    assert.equal(await page.locator("noscript").isVisible(), false, "where there is JavaScript, nothing is said of it");
    await goto(page, "/settings");
    noFaults(page);
    await page.context().close();
  });
}
