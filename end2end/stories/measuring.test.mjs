// Held-out rows are measured in the open: the page says how far it is, a stop is heard at once, and a resume catches up.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { launch, noFaults, open, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

const kinds = (view, wanted) => view.events.map(({ event }) => event.what).filter(({ kind }) => kind === wanted);

test("a long measuring says how far it is, and stops when asked", { timeout: 300_000 }, async () => {
  const row = (n) => JSON.stringify({ prompt: `What is on shelf ${n}?`, response: `Shelf ${n} holds ${n % 7} cups and ${n % 13} red kettles.` });
  const data = await acts.dataset(server, "shelves.jsonl", Array.from({ length: 3000 }, (_, n) => row(n)).join("\n"));
  const model = await acts.scratchModel(server, data);
  // Every held-out row, each time: the bounds are taken off.
  const values = { dev_ratio: "0.9", max_eval_samples: "0", eval_share: "0", eval_steps: "2", save_steps: "100", max_steps: "4", per_device_train_batch_size: "2" };
  const id = await acts.launch(server, { data, model, values });
  const page = await open(browser, server, `/runs/${id}`);
  const chinese = await open(browser, server, `/runs/${id}`, { width: 390, height: 844, locale: "zh-CN" });
  const now = page.getByText(/^Measuring: [\d,]+ of 2,700 rows/);
  await now.waitFor({ timeout: 60_000 });
  await chinese.getByText(/^正在评估.*2,700/).waitFor();
  const first = await now.innerText();
  await until("it to go on", async () => (await now.innerText()) !== first, 20_000);
  assert.deepEqual(await violations(page), []);
  await shot(page, "run-measuring");
  await shot(chinese, "run-measuring-zh");

  await page.getByRole("button", { name: "Stop and save" }).click();
  await page.getByRole("heading", { level: 1, name: /^Stopped before the first step/ }).waitFor();
  const stopped = await server.reaches(id, ["stopped"]);
  assert.equal(kinds(stopped, "eval").length, 0, "it was in the middle of it");
  assert.equal(await now.count(), 0);

  await Promise.all([page.waitForResponse(/\/api\/resume_run/), page.getByRole("button", { name: "Resume" }).click()]);
  const told = await until("the second measuring", async () => {
    const measured = kinds(await server.run(id), "measuring").filter(({ step }) => step === 2);
    return measured.length > 0 && measured;
  }, 120_000);
  assert.ok(told[0].remaining_s > 0, "the time left includes it");
  await page.getByRole("heading", { level: 1, name: /^Learning\. Step 2 of 4, about .* left/ }).waitFor();
  const done = await server.reaches(id, ["finished"], 180_000);
  assert.deepEqual(kinds(done, "eval").map(({ step }) => step), [0, 2, 4], "what the stop broke off was measured later");
  assert.ok(kinds(done, "step").at(-1).remaining_s > 0, "after the last step it is still measured");
  await page.getByRole("heading", { level: 1, name: /^Done\. 4 steps/ }).waitFor();
  noFaults(page);
});

test("by default three steps on thousands of rows are not held up by measuring", { timeout: 120_000 }, async () => {
  const [data] = await server.call("list_datasets");
  const [model] = await server.call("list_models");
  const id = await acts.launch(server, { data, model, values: { max_steps: "3", dev_ratio: "0.5" } });
  const view = await server.reaches(id, ["finished"], 60_000);
  const begun = kinds(view, "measuring").filter(({ done }) => done === 0);
  assert.deepEqual(begun.map(({ step, of }) => [step, of]), [[0, 8], [3, 8]], "a few of 1,500 rows, before and after");
});
