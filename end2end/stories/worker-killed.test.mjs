// The worker dies hard: within five seconds the page says so and why, and Resume goes on from the last checkpoint.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { launch, open, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

test("a killed worker is noticed, explained and resumed", { timeout: 300_000 }, async () => {
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const id = await acts.launch(server, { data, model, values: { max_steps: "120", save_steps: "10", per_device_train_batch_size: "8", learning_rate: "1e-3" } });
  const page = await open(browser, server, `/runs/${id}`);
  await until("a checkpoint and some steps after it", async () => {
    const { checkpoints, summary } = await server.run(id);
    return checkpoints.length > 0 && summary.step > checkpoints[0].step + 1;
  });

  const [{ pid }] = await server.trainers();
  process.kill(pid, "SIGKILL");
  const killed = Date.now();
  await page.getByRole("heading", { level: 1, name: /^It failed at step \d+/ }).waitFor({ timeout: 5_000 });
  assert.ok(Date.now() - killed <= 5_000);
  const failed = await server.run(id);
  assert.equal(failed.summary.state, "failed");
  assert.ok(failed.problem.message.length > 10 && failed.problem.hint, "it says why and what to do");
  await page.getByText(failed.problem.message).first().waitFor();
  await shot(page, "run-failed");

  // Until the server has taken it, the run is still the failed one.
  await Promise.all([page.waitForResponse(/\/api\/resume_run/), page.getByRole("button", { name: "Resume" }).click()]);
  const view = await server.reaches(id, ["finished"], 180_000);
  assert.equal(view.attempt, 2);
  assert.equal(view.summary.step, 120);
  const resumed = view.events.filter(({ attempt }) => attempt === 2).map(({ event }) => event.what);
  const from = resumed.find(({ kind }) => kind === "started").from_step;
  assert.ok(from >= 10 && from % 10 === 0, `it goes on from a checkpoint, not from ${from}`);
  assert.deepEqual(acts.steps(view, 2), acts.upTo(120, from + 1), "no step is missing after it");
  await page.getByRole("heading", { level: 1, name: /^Done\. 120 steps/ }).waitFor({ timeout: 20_000 });
});
