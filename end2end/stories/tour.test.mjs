// One press on the first page: the starter model (where it is at hand) begins to learn the made-up company; stopped in
// the middle it keeps what it learned, and both models answer side by side.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start({ starter: true }), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

test("try it now, stop, and compare", { timeout: 420_000 }, async () => {
  assert.ok(!process.env.CI || process.env.BURNISH_STARTER, "the starter model must be at hand in CI");
  const page = await open(browser, server, "/");
  await page.getByRole("button", { name: /Try it now/ }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/, { timeout: 120_000 });
  const id = page.url().split("/").at(-1);
  await until("three steps on the page", async () => (await acts.drawn(page)) >= 3, 240_000);
  await page.getByText(/Kettle & Co/).first().waitFor();
  const before = page.locator(".before .a");
  await until("the answer from before training", async () => (await before.count()) === 1 && (await before.innerText()).trim().length > 0, 120_000);
  const kept = await before.innerText();
  await shot(page, "tour-learning");

  // Whoever looks later sees the same answer, and no model is woken for it.
  await until("the model to be at rest", async () => {
    for (const { pid } of await server.workers("generate")) process.kill(pid, "SIGKILL");
    return (await server.workers("generate")).length === 0;
  });
  for (let look = 0; look < 2; look++) {
    await goto(page, `/runs/${id}`);
    const drawn = await acts.drawn(page);
    assert.equal(await before.innerText(), kept);
    await until("another step", async () => (await acts.drawn(page)) > drawn || (await server.run(id)).summary.state !== "running", 60_000);
    assert.deepEqual(await server.workers("generate"), []);
  }

  await page.getByRole("button", { name: "Stop and save" }).click();
  const view = await server.reaches(id, ["stopped"], 60_000);
  assert.equal(view.checkpoints[0].step, view.summary.step, "what was learned last is saved");
  await page.getByRole("heading", { level: 1, name: /^Stopped at step \d+/ }).waitFor();

  await page.getByRole("link", { name: "Ask it now" }).click();
  await page.waitForURL(/\/playground/);
  await page.getByRole("button", { name: /^Settings: Greedy/ }).waitFor();
  assert.equal(await page.getByRole("checkbox", { name: "Repeatable" }).isChecked(), true);
  await page.locator("#question").fill("Who is the mascot of Kettle & Co?");
  await page.getByRole("button", { name: "Ask both" }).click();
  await until("both panes to have answered", async () => (await page.getByText(/\d+ tokens\/s/).count()) === 2, 180_000);
  const digests = await page.locator(".pane-foot").allInnerTexts();
  assert.notEqual(digests[0].split("\n")[0], digests[1].split("\n")[0], "two different sets of weights spoke");
  await shot(page, "tour-compare");
  noFaults(page);
});
