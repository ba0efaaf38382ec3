// Before a run starts, the bar says how long it will take and how much memory, from the rows themselves; what does not
// fit is said, and one press makes it fit.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, launch, noFaults, open, overflow } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let server, browser, small;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  small = await acts.dataset(server);
  await acts.scratchModel(server, small);
});
after(async () => { await browser?.close(); await server?.stop(); });

const bar = (page) => page.locator(".bar");
const known = { en: /rows × 3 rounds = [\d,]+ steps · about \d+ \w+ · .+ of \d+ GB/, zh: /行 × 3 轮 = [\d,]+ 步 · 约 \d+ .+ · 内存 .+ \/ \d+ GB/ };

test("the bar says rows, rounds, steps, minutes and memory", { timeout: 120_000 }, async () => {
  for (const [width, locale, lang] of [[1440, "en-GB", "en"], [390, "zh-CN", "zh"], [1440, "zh-CN", "zh"], [390, "en-GB", "en"]]) {
    const page = await open(browser, server, `/runs/new?dataset=${small.id}`, { width, height: width === 390 ? 844 : 900, locale });
    await bar(page).getByText(known[lang]).waitFor();
    assert.deepEqual(await bothThemes(page, `foreseen-${lang}-${width}`), []);
    assert.deepEqual(await overflow(page), []);
    noFaults(page);
    await page.context().close();
  }
});

test("more rows at once than there are take no more than there are", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, `/runs/new?dataset=${small.id}`);
  await bar(page).getByText(known.en).waitFor();
  const batch = page.getByRole("textbox", { name: /Rows at once/ });
  const memory = async (rows, steps) => {
    await batch.fill(String(rows));
    await bar(page).getByText(`= ${steps} steps`).waitFor();
    return (await bar(page).textContent()).match(/· ([^·]+) of \d+ GB/)[1];
  };
  assert.equal(await memory(1024, 3), await memory(600, 3));
  assert.equal(await page.locator(".bar-room").count(), 0, "no warning");
  noFaults(page);
});

test("a run too large is named, refused, and made to fit by one press", { timeout: 180_000 }, async () => {
  const { memory_total: memory } = await server.call("read_system");
  // 50 rows at once that need half as much again as the machine has: a token of this model takes about 180 kB.
  const words = Math.ceil((1.5 * memory) / 50 / 180_000);
  const line = (row) => JSON.stringify({ prompt: `What is ${row}?`, response: "kettle ".repeat(words) });
  const long = await acts.dataset(server, "long.jsonl", Array.from({ length: 50 }, (_, row) => line(row)).join("\n"));
  const model = await acts.scratchModel(server, small, "20m");
  const page = await open(browser, server, `/runs/new?dataset=${long.id}&model=${model.id}`);
  const field = (name) => page.locator(`#${name}`);
  await field("max_target_length").fill("32768");
  await field("per_device_train_batch_size").fill("50");
  await field("dev_ratio").fill("0");
  await page.locator(".bar-room").getByText("would be refused").waitFor({ timeout: 60_000 });
  assert.deepEqual(await bothThemes(page, "foreseen-too-large"), []);
  await page.getByRole("button", { name: "Start the run" }).click();
  await bar(page).getByText(/1 to mend/).waitFor();
  assert.equal((await server.call("list_runs")).length, 0, "nothing was queued");
  await page.getByRole("button", { name: /Use \d+ rows at once/ }).click();
  await page.locator(".bar-room").waitFor({ state: "detached" });
  const [rows, gathered] = await Promise.all(["per_device_train_batch_size", "gradient_accumulation_steps"].map((name) => field(name).inputValue().then(Number)));
  assert.ok(rows < 50 && rows * gathered === 50, `${rows} x ${gathered}`);
  await bar(page).getByText(/= 3 steps · about .+ of \d+ GB/).waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await goto(page, `/runs/new?dataset=${long.id}&model=${model.id}`);
  await field("max_target_length").fill("32768");
  await field("per_device_train_batch_size").fill("50");
  await page.locator(".bar-room").waitFor();
  assert.deepEqual(await overflow(page), []);
  assert.deepEqual(await bothThemes(page, "foreseen-too-large-390"), []);
  noFaults(page);
});
