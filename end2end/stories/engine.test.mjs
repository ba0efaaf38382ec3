// A model moves into the visitor's own browser: it says there what it says on the server, and goes on speaking when the
// server is gone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

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

const pane = (index) => page.getByRole("region", { name: `Model ${index}` });
const answers = () => page.locator(".talk .a").allInnerTexts();

async function ask(text, count) {
  await page.getByLabel("Your question").fill(text);
  await page.keyboard.press("Enter");
  await until("every answer to be complete", async () => (await answers()).length === count && (await page.getByRole("button", { name: /^Ask/ }).count()) === 1, 60_000);
  return (await answers()).slice(-2);
}

test("the same words here as on the server, and without it", { timeout: 240_000 }, async () => {
  await page.getByRole("button", { name: /^Settings/ }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByRole("checkbox", { name: /greedy/ }).check();
  await dialog.getByLabel("Longest answer", { exact: true }).fill("24");
  await dialog.getByRole("button", { name: "Close" }).click();
  const onServer = await ask("How do you say snow in Chinese?", 2);
  const digests = await page.locator(".pane-foot").allInnerTexts();

  await page.getByRole("button", { name: "New conversation" }).click();
  for (const index of [1, 2]) {
    await pane(index).getByRole("checkbox", { name: "In this browser" }).check();
    const load = pane(index).getByRole("button", { name: /^Load .* into this browser/ });
    const here = pane(index).getByText("Answers here, without the server.");
    await load.or(here).first().waitFor();
    if (await load.isVisible()) await load.click();
    await here.waitFor({ timeout: 60_000 });
  }
  assert.deepEqual(await violations(page), []);
  await shot(page, "engine-here");
  assert.deepEqual(await ask("How do you say snow in Chinese?", 2), onServer, "word for word");
  const here = await page.locator(".pane-foot").allInnerTexts();
  const weights = (texts) => texts.map((text) => text.split("\n")[0]);
  assert.deepEqual(weights(here), weights(digests), "the same weights speak");

  await server.kill();
  const alone = await ask("And rain?", 4);
  assert.ok(alone.every((text) => text.length > 0), "both go on without the server");
  await server.up();
  noFaults(page);
});

test("what was fetched once is not fetched again, and a damaged file is noticed", { timeout: 120_000 }, async () => {
  await goto(page, "/playground");
  const fetched = [];
  page.on("request", (request) => { if (request.url().includes("/weights/file")) fetched.push(request.url()); });
  const here = pane(1).getByText("Answers here, without the server.");
  await pane(1).getByRole("checkbox", { name: "In this browser" }).check();
  await here.waitFor({ timeout: 60_000 });
  assert.deepEqual(fetched, [], "it came from this browser's own store");

  await pane(1).getByRole("checkbox", { name: "In this browser" }).uncheck();
  await page.evaluate(async () => {
    const store = await caches.open("burnish-weights");
    const [weights] = (await store.keys()).filter(({ url }) => decodeURIComponent(url).includes("model.safetensors"));
    const bytes = new Uint8Array(await (await store.match(weights)).arrayBuffer());
    bytes[bytes.length - 5] ^= 1;
    await store.put(weights, new Response(bytes));
  });
  await pane(1).getByRole("checkbox", { name: "In this browser" }).check();
  await pane(1).getByText(/SHA-256 differs/).waitFor({ timeout: 60_000 });
  assert.equal(await pane(1).getByRole("checkbox", { name: "In this browser" }).isChecked(), false, "the server answers again");
});
