// Measuring without training: a model or a checkpoint on data of one's own; every answer beside its reference; and a run
// that is kept as a file and made again from it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, launch, noFaults, open, overflow, shot, violations } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let server, browser, page, data, model, trained;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const row = (n) => JSON.stringify({ prompt: `What colour is kettle ${n}?`, response: n % 3 === 0 ? "=red" : `Kettle ${n} is blue.` });
  data = await acts.dataset(server, "kettles.jsonl", Array.from({ length: 40 }, (_, n) => row(n)).join("\n"));
  model = await acts.scratchModel(server, data);
  const values = { max_steps: "6", eval_share: "0", dev_ratio: "0.25", seed: "7", per_device_train_batch_size: "8", max_target_length: "24", learning_rate: "3e-3" };
  trained = await acts.launch(server, { data, model, tuning: "lora", name: "Kettles", values });
  await server.reaches(trained, ["finished"]);
  page = await open(browser, server, `/runs/${trained}`);
});
after(async () => { await browser?.close(); await server?.stop(); });

const numbers = async (run, part) => (await fetch(`${server.url}/api/v1/runs/${run}/file?name=${part}_results.json`)).json();
const table = () => page.getByRole("region", { name: "Answers and references" });

async function saved(link) {
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  return readFile(await download.path(), "utf8");
}

test("a checkpoint is measured on the rows its run held out, from the page of the run", { timeout: 180_000 }, async () => {
  await page.getByRole("link", { name: "Evaluate" }).click();
  await page.waitForURL(/\/runs\/new/);
  assert.ok(await page.getByRole("radio", { name: /Nothing: only measure/ }).isChecked());
  assert.match(await page.getByLabel("Checkpoint to measure").inputValue(), new RegExp(`^${trained}:`));
  assert.equal(await page.getByLabel("Held out for measuring").inputValue(), "0.25", "the rows it held out");
  assert.equal(await page.locator("#learning_rate").count(), 0, "nothing learns");
  await page.getByText(/^10 rows are measured, 10 answered/).waitFor();
  assert.deepEqual(await bothThemes(page, "evaluation-new"), []);
  await page.getByRole("button", { name: "Start the evaluation" }).click();
  await page.waitForURL(/\/runs\/(?!new)[^/]+$/);
  await page.getByRole("heading", { level: 1, name: /^Measured\./ }).waitFor({ timeout: 120_000 });
  const id = page.url().split("/").at(-1);
  const view = await server.run(id);
  assert.deepEqual([view.summary.tuning, view.summary.step, view.checkpoints.length], ["none", 0, 0]);

  const [before, now] = await Promise.all([numbers(trained, "eval"), numbers(id, "eval")]);
  assert.ok(Math.abs(before.eval_loss - now.eval_loss) < 1e-5 * now.eval_loss, `the same weights on the same rows: ${before.eval_loss} ${now.eval_loss}`);
  assert.ok(Math.abs(Math.exp(now.eval_loss) - now.perplexity) < 1e-6 * now.perplexity);
  const results = page.getByRole("region", { name: "Results" });
  await results.getByText("Perplexity").waitFor();
  await results.getByText("Exact answers").waitFor();
  await results.getByText("Files", { exact: true }).click();
  await results.getByRole("link", { name: "eval_results.json" }).waitFor();
  assert.equal(await page.getByRole("region", { name: "Checkpoints" }).count(), 0);
  assert.deepEqual(await bothThemes(page, "evaluation-done"), []);
  noFaults(page);
});

test("every answer stands beside its reference: searched, sorted, taken away", { timeout: 120_000 }, async () => {
  const rows = () => table().locator("tbody tr");
  assert.equal(await rows().count(), 10);
  await table().getByRole("searchbox").fill("kettle 3");
  await table().getByRole("button", { name: "Search" }).click();
  await table().getByText(/^1 to \d of \d$/).waitFor();
  for (const text of await rows().allInnerTexts()) assert.match(text.toLowerCase(), /kettle 3/);
  await table().getByRole("searchbox").fill("");
  await table().getByRole("button", { name: "Search" }).click();
  await table().getByText("1 to 10 of 10").waitFor();
  await table().getByLabel("Order").selectOption({ label: "BLEU-4, highest first" });
  const page1 = await server.call("list_predictions", { id: page.url().split("/").at(-1), query: { score: "bleu-4", highest_first: true } });
  const first = page1.rows[0][1];
  await table().locator("tbody tr").first().getByText(first.question, { exact: true }).waitFor();
  assert.ok(page1.rows.every(([, row], at, all) => at === 0 || row.scores["bleu-4"] <= all[at - 1][1].scores["bleu-4"]));
  await table().getByLabel("Only where they differ").check();
  const differing = page1.rows.filter(([, row]) => row.predict.trim() !== row.label.trim()).length;
  if (differing > 0) await table().getByText(`1 to ${differing} of ${differing}`).waitFor();
  assert.deepEqual(await violations(page), []);

  const csv = await saved(table().getByRole("link", { name: "CSV" }));
  assert.ok(csv.startsWith("\uFEFFdataset,row,question,label,predict,"), "a spreadsheet knows that it is UTF-8");
  assert.ok(!/(^|,)=red/m.test(csv), "and finds no formula in it");
  const lines = (await saved(table().getByRole("link", { name: "JSON Lines" }))).trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines.length, 10);
  assert.ok(lines.some(({ label }) => label === "=red"), "which is as the data has it");

  const phone = await open(browser, server, new URL(page.url()).pathname, { width: 390, height: 844, theme: "dark", locale: "zh-CN" });
  await phone.getByRole("heading", { name: "回答与参考答案" }).waitFor();
  assert.deepEqual(await overflow(phone), []);
  await shot(phone, "evaluation-phone-zh");
  noFaults(phone);
  noFaults(page);
});

test("a base model is measured from the list of runs, and stops when asked", { timeout: 120_000 }, async () => {
  await goto(page, "/runs");
  await page.getByRole("link", { name: "New evaluation" }).click();
  await page.waitForURL(/tuning=none/);
  await page.getByText(/^40 rows are measured, 40 answered/).waitFor();
  await page.getByText("Expert", { exact: false }).first().click();
  await page.getByLabel("Beams of measured answers").fill("2");
  await page.getByText(/1 to mend/).waitFor();
  await page.getByLabel("Temperature of measured answers").fill("0");
  await page.getByText(/^40 rows are measured/).waitFor();
  await page.getByRole("button", { name: "Start the evaluation" }).click();
  await page.waitForURL(/\/runs\/(?!new)[^/]+$/);
  const id = page.url().split("/").at(-1);
  await page.getByRole("heading", { level: 1, name: /^Measured\./ }).waitFor({ timeout: 120_000 });
  const view = await server.run(id);
  assert.equal(view.hyper.eval_num_beams, 2);
  assert.ok(Number.isFinite((await numbers(id, "predict"))["predict_bleu-4"]));
  noFaults(page);
});

test("a run is kept as a file and made again from it; what nobody knows is named", { timeout: 180_000 }, async () => {
  await goto(page, `/runs/${trained}`);
  await page.locator("summary", { hasText: "How it was set" }).click();
  const yaml = await saved(page.getByRole("link", { name: "As YAML" }));
  const json = JSON.parse(await saved(page.getByRole("link", { name: "As JSON" })));
  assert.match(yaml, /^learning_rate: 0\.003$/m);
  assert.equal(json.learning_rate, 0.003);

  await goto(page, "/runs/new");
  const open = (name, text) => page.locator("input[name=specification]").setInputFiles({ name, mimeType: "application/yaml", buffer: Buffer.from(text) });
  await open("wrong.yaml", `${yaml}learning_rat: 1\nwarmth: 2\n`);
  await page.getByText(/learning_rat/).waitFor();
  await page.getByText(/warmth/).waitFor();
  await shot(page, "specification-wrong");
  await open("kettles.yaml", yaml.replace("Kettles", "Kettles again"));
  await page.getByText(/filled in from kettles\.yaml/).waitFor();
  assert.equal(await page.locator("#learning_rate").inputValue(), "0.003");
  assert.equal(await page.getByLabel("Name").inputValue(), "Kettles again");
  assert.deepEqual(await bothThemes(page, "specification-read"), []);
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.waitForURL(/\/runs\/(?!new)[^/]+$/);
  const again = page.url().split("/").at(-1);
  const [was, is] = [await server.run(trained), await server.reaches(again, ["finished"])];
  assert.deepEqual(is.hyper, was.hyper);
  assert.deepEqual(acts.losses(is), acts.losses(was), "the same run again");
  noFaults(page);
});
