// The server is killed in mid-run and started again: training goes on, no step is lost, the open page catches up.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as acts from "../support/acts.mjs";
import { launch, open } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

// So many that training outlasts the pause without a server on a fast machine as well.
const STEPS = 400;

test("a killed server stops no training", { timeout: 300_000 }, async () => {
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const id = await acts.launch(server, { data, model, values: { max_steps: String(STEPS), per_device_train_batch_size: "8", learning_rate: "1e-3" } });
  const page = await open(browser, server, `/runs/${id}`);
  await until("some steps", async () => (await server.run(id)).summary.step >= 5);

  const [trainer] = await server.trainers();
  await server.kill();
  await sleep(2_000);
  assert.deepEqual((await server.trainers()).map(({ pid }) => pid), [trainer.pid], "the same worker still trains");
  await server.up();

  const view = await server.reaches(id, ["finished", "failed"], 180_000);
  assert.equal(view.summary.state, "finished");
  assert.equal(view.attempt, 1, "one attempt made all of it");
  assert.deepEqual(acts.steps(view), acts.upTo(STEPS), "every step once, in order");
  await page.getByRole("heading", { level: 1, name: new RegExp(`^Done\\. ${STEPS} steps`) }).waitFor({ timeout: 40_000 });
  assert.equal(await acts.drawn(page), STEPS, "the open page has every point");
});
