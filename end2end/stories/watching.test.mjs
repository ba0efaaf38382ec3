// Many look at one run, some fall asleep: nobody loses or doubles a step.
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
    page.faults = [];
    await goto(page, `/runs/${id}`);
    tabs.push(page);
  }
  const sleeper = await open(browser, server, `/runs/${id}`);
  await until("some steps", async () => (await acts.drawn(sleeper)) >= 3);
  await sleeper.context().setOffline(true);
  await until("the others to go on", async () => (await server.run(id)).summary.step >= 40, 120_000);
  await sleeper.context().setOffline(false);
  await server.reaches(id, ["finished"], 180_000);
  for (const [at, page] of [...tabs, sleeper].entries()) {
    await until(`tab ${at + 1} to show all of it`, async () => (await acts.drawn(page)) === 100, 40_000);
  }
  assert.deepEqual(acts.steps(await server.run(id)), acts.upTo(100));
  noFaults(first);
});
