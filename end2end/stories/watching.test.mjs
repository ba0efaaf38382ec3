// Many look at one run, some fall asleep: nobody loses or doubles a step. Plain text is pre-trained on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

test("ten tabs on one run, one of them offline for a while", { timeout: 300_000 }, async () => {
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const id = await acts.launch(server, { data, model, values: { max_steps: "100", per_device_train_batch_size: "8", learning_rate: "1e-3" } });
  const first = await open(browser, server, `/runs/${id}`);
  const tabs = [first];
  for (let tab = 1; tab < 10; tab++) {
    const page = await first.context().newPage();
    await page.goto(`/runs/${id}`);
    tabs.push(page);
  }
  const sleeper = await open(browser, server, `/runs/${id}`);
  await until("some steps", async () => (await acts.drawn(sleeper)) >= 3);
  await sleeper.context().setOffline(true);
  await until("the others to go on", async () => (await server.run(id)).summary.step >= 40, 120_000);
  await sleeper.context().setOffline(false);
  await server.reaches(id, ["finished"], 180_000);
  for (const [at, page] of [...tabs, sleeper].entries()) {
    await until(`tab ${at + 1} to show all of it`, async () => (await acts.drawn(page)) === 100, 40_000).catch((error) => { throw new Error(`${error.message}\n${server.log.slice(-2000)}`); });
  }
  assert.deepEqual(acts.steps(await server.run(id)), acts.upTo(100));
  noFaults(first);
});

test("plain text is pre-trained on, from the form", { timeout: 180_000 }, async () => {
  const page = await open(browser, server, "/datasets");
  const lines = Array.from({ length: 120 }, (_, i) => `The ${i}th lamp on the old bridge burns until the ${i}th boat has passed below it.`);
  await page.locator("input[type=file]").setInputFiles({ name: "bridge.txt", mimeType: "text/plain", buffer: Buffer.from(lines.join("\n")) });
  await page.waitForURL(/\/datasets\/[0-9a-f-]+$/);
  const data = page.url().split("/").at(-1);
  await goto(page, `/runs/new?dataset=${data}`);
  await page.getByRole("radio", { name: /plain text/ }).check();
  await page.getByRole("radio", { name: /Every weight/ }).check();
  await page.getByText(/\d+ tokens, \d+ of them teach/).waitFor();
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/);
  const view = await server.reaches(page.url().split("/").at(-1), ["finished"], 120_000);
  assert.equal(view.summary.stage, "pt");
  const losses = view.events.map(({ event }) => event.what).filter(({ kind }) => kind === "step").map(({ loss }) => loss);
  assert.ok(losses.length > 0 && losses.at(-1) < losses[0], `the loss fell: ${losses[0]} to ${losses.at(-1)}`);
  noFaults(page);
});
