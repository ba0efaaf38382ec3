// One model goes through four stages, each started from the one before: it reads, it learns to answer, a reward model
// learns to judge on the same model, and ppo practises against that judge.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, page, model, answers, pairs, story;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  answers = await acts.dataset(server, "kettle-and-co.jsonl");
  pairs = await acts.dataset(server, "kettle-pairs.jsonl");
  story = await acts.dataset(server, "kettle-story.txt");
  model = await acts.scratchModel(server, await acts.dataset(server));
  page = await open(browser, server, `/runs/new?model=${model.id}&dataset=${story.id}`);
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const advanced = () => page.locator("details.expert > summary");

/** Fills the form that is open and starts the run; returns its view once it has finished. */
async function start(goal, { dataset, values = {}, full = false }) {
  await page.getByRole("radio", { name: goal }).check();
  if (full) await page.getByRole("radio", { name: /Every weight/ }).check();
  await page.getByLabel("Dataset", { exact: true }).selectOption(dataset.id);
  const template = page.locator("select#template");
  if (await template.count()) await template.selectOption("vanilla");
  for (const [label, value] of Object.entries(values)) {
    const field = page.getByLabel(label, { exact: true });
    if (!(await field.isVisible())) await advanced().click();
    if (await field.evaluate(({ tagName }) => tagName === "SELECT")) await field.selectOption(value);
    else await field.fill(value);
  }
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/);
  return server.reaches(page.url().split("/").at(-1), ["finished"], 180_000);
}

/** From a finished run's page to the form that starts from its newest checkpoint. */
async function goOn() {
  await page.getByRole("link", { name: "Start the next run from this" }).click();
  await page.waitForURL(/\/runs\/new\?.*from=/);
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  assert.match(await page.getByLabel("Starts from").inputValue(), /^[0-9a-f-]+:\d+$/, "the checkpoint is chosen");
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const metric = (view, name) => view.events.map(({ event }) => event.what).filter(({ kind }) => kind === "step").map(({ metrics }) => metrics?.[name]).filter((value) => value !== undefined);

test("read, answer, judge, practise", { timeout: 600_000 }, async () => {
  const read = await start(/plain text/, { dataset: story, full: true, values: { "Rounds (epochs)": "2", "Learning rate": "1e-3" } });
  assert.equal(read.summary.stage, "pt");
  await page.getByText("perplexity").first().waitFor();

  await goOn();
  const taught = await start(/Teach it to answer/, { dataset: answers, values: { "Rounds (epochs)": "25", "Learning rate": "2e-3" } });
  assert.deepEqual(taught.adapters.map(({ run }) => run), [read.summary.id]);
  const taughtPage = page.url();

  await goOn();
  const judge = await start(/Teach it to judge/, { dataset: pairs, values: { "Rounds (epochs)": "12", "Learning rate": "2e-3" } });
  assert.equal(judge.adapters.at(-1).run, taught.summary.id, "the judge stands on the taught model");
  assert.ok(metric(judge, "accuracy").length > 0);
  await page.getByRole("region", { name: "Came from" }).getByRole("link", { name: /step \d+/ }).first().waitFor();
  await shot(page, "chain-judge");

  await goto(page, taughtPage);
  await goOn();
  await page.getByRole("radio", { name: /Let it practise/ }).check();
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.getByText(/needs a reward model/).first().waitFor();
  assert.equal((await server.call("list_runs")).length, 3, "without a judge nothing starts");
  const judges = page.getByLabel("Reward model", { exact: true });
  await judges.selectOption(`${judge.summary.id}:${judge.summary.step}`);
  const values = {
    "Rounds (epochs)": "100", "Stop after steps": "100", "LoRA rank": "16", "Learning rate": "1e-3", "Learning rate over time": "constant", "Rows at once (batch size) rows": "12",
    "Batches a step (accumulation)": "2", "Longest answer tokens": "16", "Passes over each batch of answers": "4", "KL penalty at the start": "0.01", "Weight of the value loss": "1",
  };
  const practised = await start(/Let it practise/, { dataset: pairs, values });
  const [rewards, kl] = [metric(practised, "reward"), metric(practised, "kl")];
  assert.equal(kl.length, 100, "KL is told");
  assert.ok(mean(rewards.slice(-10)) > mean(rewards.slice(0, 10)) + 0.7, `the reward rises: ${rewards.map((one) => one.toFixed(2))}`);
  await page.getByRole("region", { name: "Metrics" }).getByText("Reward", { exact: true }).first().waitFor();
  await page.getByText(/Judged by/).waitFor();
  assert.deepEqual(await violations(page), []);
  await shot(page, "chain-ppo");
  noFaults(page);
});

test("a reward model of another base is refused in the form", { timeout: 180_000 }, async () => {
  const other = await server.call("create_model", { new: { from: "scratch", name: "Another", size: "1m", dataset: answers.id } });
  await until("the other model", async () => (await server.call("list_models")).find(({ id, state }) => id === other.id && state === "ready"));
  const runs = await server.call("list_runs");
  const judge = runs.find(({ stage }) => stage === "rm");
  const step = (await server.run(judge.id)).checkpoints[0].step;
  const draft = { name: "Misfit", dataset: answers.id, model: other.id, template: "model", system: "", stage: "ppo", tuning: "lora", adapters: "", reward_model: `${judge.id}:${step}`, values: {} };
  const began = Date.now();
  await assert.rejects(server.call("launch_run", { draft }), /reward_model/);
  assert.ok(Date.now() - began < 2_000, "refused at once, nothing was loaded");
  assert.equal((await server.call("list_runs")).length, runs.length);
});
