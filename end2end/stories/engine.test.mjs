// A model moves into the visitor's own browser: it says there what it says on the server, goes on when the server is
// gone, opens without it, and leaves when told.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, launch, noFaults, open, overflow, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";
import { cramped } from "../support/wasm.mjs";

let server, browser, page;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const id = await acts.launch(server, { data, model, tuning: "lora", name: "Tuned", values: { max_steps: "12", learning_rate: "2e-3", dev_ratio: "0" } });
  await server.reaches(id, ["finished"]);
  page = await open(browser, server, "/playground");
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const pane = (index, on = page) => on.getByRole("region", { name: `Model ${index}` });
const place = (index, on = page) => pane(index, on).getByRole("checkbox", { name: "In this browser" });
const here = (index, on = page) => pane(index, on).getByText("Answers here, without the server.");
const load = (index, on = page) => pane(index, on).getByRole("button", { name: /^Load .* into this browser/ });
const answers = () => page.locator(".talk .a").allInnerTexts();

async function greedy(longest = 24) {
  await page.getByRole("button", { name: /^Settings/ }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByRole("checkbox", { name: /greedy/ }).check();
  await dialog.getByLabel("Longest answer", { exact: true }).fill(String(longest));
  await dialog.getByRole("button", { name: "Close" }).click();
}

async function begin(text) {
  await page.getByLabel("Your question").fill(text);
  await page.keyboard.press("Enter");
}

async function complete(count) {
  await until("every answer to be complete", async () => (await answers()).length === count && (await page.getByRole("button", { name: /^Ask/ }).count()) === 1, 60_000);
  return (await answers()).slice(-2);
}

async function ask(text, count) {
  await begin(text);
  return complete(count);
}

test("a device without enough memory gets a sentence, and the server answers", { timeout: 60_000 }, async () => {
  await page.route(/engine_bg\.wasm/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: cramped(await response.body(), 16) });
  });
  await place(1).check();
  await pane(1).getByText("This browser ran out of memory for the model.").waitFor();
  assert.equal(await place(1).isChecked(), false);
  await page.unroute(/engine_bg\.wasm/);
  assert.equal(await page.evaluate(async () => (await (await caches.open("burnish-weights")).keys()).length), 0, "nothing was kept");
});

test("a download that broke off says so and goes on where it was", { timeout: 120_000 }, async () => {
  await greedy();
  const fetched = [];
  page.on("request", (request) => { if (request.url().includes("/weights/file")) fetched.push(new URL(request.url()).searchParams.get("name")); });
  await page.route(/\/weights\/file.*name=tokenizer\.json/, (route) => route.abort());
  await place(1).check();
  await load(1).waitFor();
  assert.equal(await pane(1).getByText(/tokens\/s/).count(), 0, "no speed before one was measured");
  await load(1).click();
  await pane(1).getByText("The server does not answer.").waitFor();
  assert.equal(await place(1).isChecked(), false, "the server answers again");
  await page.unroute(/\/weights\/file.*name=tokenizer\.json/);

  const before = fetched.length;
  await place(1).check();
  await load(1).click();
  await here(1).waitFor({ timeout: 60_000 });
  const again = fetched.slice(before);
  assert.ok(fetched.slice(0, before).includes("model.safetensors") && again.includes("tokenizer.json"), String(fetched));
  assert.ok(!again.includes("model.safetensors"), "what was there was not fetched again");
  await place(1).uncheck();
});

test("a tab that was put to sleep goes on, and a switch in the middle of an answer ends it", { timeout: 120_000 }, async () => {
  await greedy(400);
  await place(1).check();
  await here(1).waitFor({ timeout: 60_000 });
  const session = await page.context().newCDPSession(page);
  await begin("Tell me about snow.");
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await sleep(1_500);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  assert.ok((await complete(2)).every((text) => text.length > 0));

  await begin("And about rain.");
  await pane(1).locator("[aria-busy=true]").waitFor();
  await place(1).uncheck();
  await pane(1).locator("[aria-busy=false]").waitFor({ timeout: 5_000 });
  assert.ok((await complete(4)).every((text) => text.length > 0));
  assert.equal((await ask("And about wind.", 6)).length, 2, "the server answers");
  await page.getByRole("button", { name: "New conversation" }).click();
  await greedy();
});

test("the same words here as on the server, and without it", { timeout: 240_000 }, async () => {
  const onServer = await ask("How do you say snow in Chinese?", 2);
  const digests = await page.locator(".pane-foot").allInnerTexts();
  await page.getByRole("button", { name: "New conversation" }).click();
  for (const index of [1, 2]) {
    await place(index).check();
    await load(index).or(here(index)).first().waitFor();
    if (await load(index).isVisible()) await load(index).click();
    await here(index).waitFor({ timeout: 60_000 });
  }
  assert.deepEqual(await bothThemes(page, "engine-here"), []);
  assert.deepEqual(await ask("How do you say snow in Chinese?", 2), onServer, "word for word");
  for (const index of [1, 2]) await pane(index).getByText(/^[\d.]+ tokens\/s measured$/).waitFor();
  const weights = (texts) => texts.map((text) => text.split("\n")[0]);
  assert.deepEqual(weights(await page.locator(".pane-foot").allInnerTexts()), weights(digests), "the same weights speak");

  await server.kill();
  const alone = await ask("And rain?", 4);
  assert.ok(alone.every((text) => text.length > 0), "both go on without the server");
});

test("the page opens without the server and answers", { timeout: 120_000 }, async () => {
  await until("the pages to be kept", () => page.evaluate(async () => Boolean(await caches.match(`/build/${document.documentElement.dataset.build}/engine/worker.js`))), 30_000);
  await page.reload();
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  await greedy();
  for (const index of [1, 2]) {
    await place(index).check();
    await here(index).waitFor({ timeout: 60_000 });
  }
  const alone = await ask("How do you say snow in Chinese?", 2);
  assert.ok(alone.every((text) => text.length > 0), String(alone));
  await shot(page, "engine-offline");
  await server.up();
});

test("two tabs share what was fetched, and a damaged file is noticed", { timeout: 120_000 }, async () => {
  await goto(page, "/playground");
  const other = await page.context().newPage();
  await goto(other, "/playground");
  const fetched = [];
  for (const tab of [page, other]) tab.on("request", (request) => { if (request.url().includes("/weights/file")) fetched.push(request.url()); });
  await Promise.all([place(1).check(), place(1, other).check()]);
  await Promise.all([here(1).waitFor({ timeout: 60_000 }), here(1, other).waitFor({ timeout: 60_000 })]);
  assert.deepEqual(fetched, [], "it came from this browser's own store");
  await other.close();

  await place(1).uncheck();
  await page.evaluate(async () => {
    const store = await caches.open("burnish-weights");
    const [weights] = (await store.keys()).filter(({ url }) => decodeURIComponent(url).includes("model.safetensors"));
    const bytes = new Uint8Array(await (await store.match(weights)).arrayBuffer());
    bytes[bytes.length - 5] ^= 1;
    await store.put(weights, new Response(bytes));
  });
  await place(1).check();
  await pane(1).getByText(/SHA-256 differs/).waitFor({ timeout: 60_000 });
  assert.equal(await place(1).isChecked(), false, "the server answers again");
});

test("what is kept is listed in the settings and goes when told", { timeout: 60_000 }, async () => {
  await goto(page, "/settings");
  const forget = page.getByRole("button", { name: /^Delete .* from this browser$/ });
  await forget.first().waitFor();
  assert.equal(await forget.count(), 2, "the base and the run");
  assert.deepEqual(await bothThemes(page, "settings-kept"), []);
  await forget.first().click();
  await until("one to be left", async () => (await forget.count()) === 1);
  await forget.first().click();
  await page.getByText("None. Load one in the playground.").waitFor();
  assert.deepEqual(await page.evaluate(async () => (await (await caches.open("burnish-weights")).keys()).length), 0);
});

test("where there is no room to keep it, it answers all the same and says so", { timeout: 60_000 }, async () => {
  await goto(page, "/playground");
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: 1_000_000 });
  await place(1).check();
  await load(1).click();
  await here(1).waitFor({ timeout: 60_000 });
  await pane(1).getByText("Not kept for the next visit: this browser has no room left.").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  assert.deepEqual(await overflow(page), []);
  noFaults(page);
});
