// Plain text is brought in and pre-trained on, from the form.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let server, browser;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await acts.scratchModel(server, await acts.dataset(server));
});
after(async () => { await browser?.close(); await server?.stop(); });

test("plain text is pre-trained on, from the form", { timeout: 180_000 }, async () => {
  const page = await open(browser, server, "/datasets");
  const lines = Array.from({ length: 120 }, (_, i) => `The ${i}th lamp on the old bridge burns until the ${i}th boat has passed below it.`);
  await page.locator("input[type=file][name=file]").setInputFiles({ name: "bridge.txt", mimeType: "text/plain", buffer: Buffer.from(lines.join("\n")) });
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
  const losses = acts.losses(view);
  assert.ok(losses.length > 0 && losses.at(-1) < losses[0], `the loss fell: ${losses[0]} to ${losses.at(-1)}`);
  noFaults(page);
});
