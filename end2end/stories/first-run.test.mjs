// A person brings a file, sees what the model will read, trains a small model from scratch, and asks it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as acts from "../support/acts.mjs";
import { launch, noFaults, open, goto, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

const sample = fileURLToPath(new URL("../../public/samples/everyday-en-zh.jsonl", import.meta.url));
let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

test("from a file to an answer, with the mouse", { timeout: 300_000 }, async () => {
  const page = await open(browser, server, "/datasets");
  await page.locator("input[type=file][name=file]").setInputFiles(sample);
  await page.waitForURL(/\/datasets\/[0-9a-f-]+$/);
  await page.getByRole("heading", { level: 1, name: "366 rows, ready to train" }).waitFor();
  assert.match(await page.locator("main").innerText(), /sha-256\s+[0-9a-f]{8}/i, "the file's digest is shown");

  await goto(page, "/models");
  const scratch = page.getByRole("region", { name: "From scratch" });
  await scratch.getByLabel("Name").fill("Little one");
  await scratch.getByRole("button", { name: "Make it" }).click();
  await until("the model to be ready", async () => (await server.call("list_models")).find((model) => model.state === "ready"));
  await page.getByText("Ready", { exact: true }).waitFor();

  await goto(page, "/runs/new");
  await page.getByRole("radio", { name: /Every weight/ }).check();
  await page.getByLabel("Model", { exact: true }).selectOption({ index: 0 });
  await page.getByLabel("Dataset", { exact: true }).selectOption({ index: 0 });
  await page.getByLabel("Rounds (epochs)").fill("2");
  await page.getByLabel("Learning rate", { exact: true }).fill("1e-3");
  await page.getByLabel("Rows at once (batch size)").fill("8");
  await page.getByText(/\d+ tokens, \d+ of them teach/).waitFor();
  await shot(page, "new-run-filled");
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/);

  const id = page.url().split("/").at(-1);
  const drawn = () => acts.drawn(page);
  const first = await until("the first points of the curve", drawn);
  await until("more points without a reload", async () => (await drawn()) > first);
  await page.getByRole("heading", { level: 1, name: /^Done\. \d+ steps/ }).waitFor({ timeout: 180_000 });
  const view = await server.run(id);
  assert.equal(view.summary.step, view.summary.total_steps);
  assert.ok(view.summary.total_steps >= 80, "two rounds of 366 rows in batches of 8");
  const losses = acts.losses(view);
  assert.ok(losses.at(-1) < losses[0] * 0.8, `the loss fell: ${losses[0]} to ${losses.at(-1)}`);
  await shot(page, "run-done");

  await page.getByRole("link", { name: "Ask it now" }).first().click();
  await page.waitForURL(/\/playground/);
  await page.getByLabel("Your question").fill("What is the capital of France?");
  await page.keyboard.press("Enter");
  await page.getByText(/[\d.]+ tokens\/s/).first().waitFor({ timeout: 60_000 });
  assert.match(await page.locator("main").innerText(), /weights [0-9a-f]{4}·[0-9a-f]{4}/i, "the answer says whose weights spoke");
  await shot(page, "playground-answered");
  noFaults(page);
});
