// An answer can be stopped, a setting that makes no sense is explained, and a model whose process dies speaks again.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { launch, noFaults, open, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, page;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await acts.scratchModel(server, await acts.dataset(server));
  page = await open(browser, server, "/playground");
});
after(async () => { await browser?.close(); await server?.stop(); });

/** Opens the settings, changes fields by their label, and closes them. */
async function set(values, greedy = true) {
  await page.getByRole("button", { name: /^Settings/ }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByRole("checkbox", { name: /greedy/ }).setChecked(greedy);
  for (const [label, value] of Object.entries(values)) await dialog.getByLabel(label, { exact: true }).fill(value);
  return dialog;
}
const close = (dialog) => dialog.getByRole("button", { name: "Close" }).click();
const ask = async (text) => {
  await page.getByLabel("Your question").fill(text);
  await page.keyboard.press("Enter");
};

test("stopped answers keep what was said", { timeout: 120_000 }, async () => {
  await close(await set({ "Longest answer": "2048", Temperature: "1.5" }, false));
  await ask("Tell me everything about the sea.");
  const stop = page.getByRole("button", { name: "Stop", exact: true });
  await stop.first().waitFor();
  await until("some text", async () => (await page.locator(".talk .a").last().innerText()).length > 20);
  await stop.first().click();
  await page.getByText("Stopped by you.").first().waitFor();
  await shot(page, "playground-stopped");
});

test("a setting out of range is explained under its field", async () => {
  const dialog = await set({ Temperature: "9" }, false);
  const field = dialog.getByLabel("Temperature", { exact: true });
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  await dialog.locator("#temperature-error").waitFor();
  await field.fill("0.7");
  assert.equal(await field.getAttribute("aria-invalid"), null);
  await close(dialog);
});

test("a process that dies is said to have died, and the next question works", { timeout: 120_000 }, async () => {
  await close(await set({ "Longest answer": "2048", Temperature: "1.5" }, false));
  const speakers = await server.workers("generate");
  assert.ok(speakers.length > 0);
  const all = (signal) => speakers.forEach(({ pid }) => process.kill(pid, signal));
  const answers = page.locator(".talk .a"), stop = page.getByRole("button", { name: "Stop", exact: true });
  // A question may not have reached the process yet, and an answer drawn at random may be over: it is stopped in the middle
  // of one, what it has said is let arrive, and asked again where that was all.
  for (;;) {
    const before = await answers.count();
    await ask("And about the wind?");
    await until("some text", async () => (await answers.count()) > before && (await answers.last().innerText()).length > 20);
    all("SIGSTOP");
    let said;
    await until("no more text", async () => said === (said = await answers.last().innerText()));
    if ((await stop.count()) > 0) break;
    all("SIGCONT");
  }
  all("SIGKILL");
  const said = page.getByText(/The model's process ended/).first();
  await said.waitFor();
  assert.doesNotMatch(await page.locator("main").innerText(), /panicked|\.rs:\d|\/tmp\//);
  await close(await set({ "Longest answer": "16" }));
  await ask("Are you there?");
  await until("an answer", async () => (await page.getByText(/[\d.]+ tokens\/s/).count()) > 0);
  noFaults(page);
});
