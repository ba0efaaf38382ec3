// What the page says of a run is what the run did: a burst is no success, the list of checkpoints is what is there, and
// every dot of the chart stands at its value.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, overflow, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, data, model;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  data = await acts.dataset(server);
  model = await acts.scratchModel(server, data);
});
after(async () => { await browser?.close(); await server?.stop(); });

const told = (view, kind) => view.events.map(({ event }) => event.what).filter((what) => what.kind === kind);
const listed = (page) => page.getByRole("region", { name: "Checkpoints" }).getByRole("link", { name: /^Step / }).allInnerTexts(); // beside each stands its download
const there = (view) => view.checkpoints.map(({ step }) => `Step ${step}`);

/** The values at which the eval dots stand, by the labels of the axis. */
async function dots(page) {
  const ticks = await page.locator(".chart .tick-y").evaluateAll((all) => all.map((one) => [Number(one.getAttribute("y")) - 4, Number(one.textContent)]));
  const [[fromY, from], [toY, to]] = [ticks[0], ticks.at(-1)];
  const value = (y) => from + ((y - fromY) / (toY - fromY)) * (to - from);
  return (await page.locator(".chart .dot").evaluateAll((all) => all.map((one) => Number(one.getAttribute("cy"))))).map(value);
}

async function drawnTruly(page, view) {
  const truth = told(view, "eval").map(({ eval_loss }) => eval_loss);
  const drawn = await dots(page);
  assert.equal(drawn.length, truth.length);
  const span = Math.max(...truth);
  truth.forEach((loss, at) => assert.ok(Math.abs(drawn[at] - loss) < 0.01 * span, `${loss} is drawn at ${drawn[at]}`));
}

test("a run whose loss burst says so, and none of its checkpoints is the best", { timeout: 240_000 }, async () => {
  const values = { max_steps: "8", save_steps: "1", eval_steps: "1", dev_ratio: "0.05", learning_rate: "0.5", per_device_train_batch_size: "8" };
  const id = await acts.launch(server, { data, model, name: "Too fast", values });
  const page = await open(browser, server, `/runs/${id}`);
  const view = await server.reaches(id, ["finished"], 120_000);
  await page.getByRole("heading", { level: 1, name: /^Done, but the eval loss rose/ }).waitFor();
  assert.ok(told(view, "checkpoint").length > view.checkpoints.length, "old checkpoints were removed");
  await until("the list to show what is there", async () => String(await listed(page)) === String(there(view)));
  assert.equal(await page.getByText("Best", { exact: true }).count(), 0);
  const marked = view.checkpoints.filter(({ mark }) => mark === "no_better").length;
  assert.ok(marked > 0 && view.checkpoints.every(({ eval_loss, mark }) => eval_loss === null || mark === "no_better"));
  assert.equal(await page.getByText("No better than before", { exact: true }).count(), marked);
  await page.getByText(/learned from/).first().waitFor();
  assert.equal(await page.getByText(/Nothing is lost|learns from/).count(), 0);
  await drawnTruly(page, view);
  await goto(page, `/runs/${id}`);
  assert.deepEqual(await listed(page), there(view), "the first look, too");
  for (const [width, theme, locale] of [[1440, "light", "en-GB"], [390, "dark", "en-GB"], [1440, "dark", "zh-CN"], [390, "light", "zh-CN"]]) {
    const look = await open(browser, server, `/runs/${id}`, { width, theme, locale });
    assert.deepEqual(await violations(look), []);
    assert.deepEqual(await overflow(look), []);
    await shot(look, `verdict-burst-${width}-${theme}-${locale}`);
    noFaults(look);
    await look.context().close();
  }
  await goto(page, `/playground?run=${id}`);
  const offered = await page.locator("#voice-2 option").allInnerTexts();
  assert.deepEqual(offered.filter((name) => name.startsWith("Too fast")), view.checkpoints.map(({ step, mark }) => `Too fast, step ${step}${mark ? " · No better than before" : ""}`));
  noFaults(page);
});

test("a run that learned has one best checkpoint, the same everywhere", { timeout: 240_000 }, async () => {
  const values = { max_steps: "30", save_steps: "5", eval_steps: "5", dev_ratio: "0.05", learning_rate: "1e-3", per_device_train_batch_size: "8" };
  const id = await acts.launch(server, { data, model, name: "Well", values });
  const page = await open(browser, server, `/runs/${id}`);
  const view = await server.reaches(id, ["finished"], 120_000);
  await page.getByRole("heading", { level: 1, name: /^Done\. 30 steps/ }).waitFor();
  await until("one best checkpoint", async () => (await page.getByText("Best", { exact: true }).count()) === 1);
  // Not every checkpoint is measured: that has its share of the time.
  const lowest = view.checkpoints.filter(({ eval_loss }) => eval_loss !== null).reduce((a, b) => (b.eval_loss < a.eval_loss ? b : a));
  assert.equal(view.checkpoints.find(({ mark }) => mark === "best").step, lowest.step);
  await page.getByText(/Eval loss fell from [\d.]+ to [\d.]+/).first().waitFor();
  await drawnTruly(page, view);
  const zh = await open(browser, server, `/runs/${id}`, { locale: "zh-CN", theme: "dark" });
  await zh.getByText(/学习了/).first().waitFor();
  assert.equal(await zh.getByText(/正在用/).count(), 0);
  await shot(zh, "verdict-learned-zh");
  await page.getByRole("link", { name: "Ask it now" }).click();
  await page.waitForURL(/\/playground/);
  assert.equal(await page.locator("#voice-2 option:checked").innerText(), `Well, step ${lowest.step} · Best`);
  await goto(page, `/playground?run=${id}&step=5`);
  assert.equal(view.checkpoints.some(({ step }) => step === 5), false);
  await page.getByText(/not there any more/).first().waitFor();
  assert.equal(await page.locator("#voice-2 option:checked").innerText(), `Well, step ${lowest.step} · Best`);
  for (const one of [page, zh]) noFaults(one);
});

test("a run that waits has no curve and no past", { timeout: 120_000 }, async () => {
  const first = await acts.launch(server, { data, model, name: "First", values: { max_steps: "100000" } });
  const later = await acts.launch(server, { data, model, name: "Later", values: { max_steps: "2" } });
  const page = await open(browser, server, `/runs/${later}`);
  await page.getByRole("heading", { level: 1, name: "Waiting for its turn." }).waitFor();
  assert.equal(await page.locator(".chart .tick").count(), 0, "no axis without a value");
  await page.getByText(/will learn from/).first().waitFor();
  await server.call("stop_run", { id: later });
  await page.getByRole("heading", { level: 1, name: "Stopped before the first step." }).waitFor();
  await page.getByText(/no step was made/).first().waitFor();
  await page.getByText("None was saved.").waitFor();
  assert.equal(await page.locator(".chart .tick").count(), 0);
  assert.equal(await page.getByText(/first step\.$|on the way\.$/).count(), 1, "only the heading speaks of a first step");
  await server.call("stop_run", { id: first });
  await server.reaches(first, ["stopped"], 60_000);
  const stopped = await open(browser, server, `/runs/${first}`);
  await stopped.getByRole("heading", { level: 1, name: /^Stopped at step \d/ }).waitFor();
  for (const one of [page, stopped]) noFaults(one);
});
