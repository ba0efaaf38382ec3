// What is deleted can be brought back: at once from the list, for thirty days from the settings.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { bothThemes, goto, launch, noFaults, open, overflow } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, data, model;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  data = await acts.dataset(server);
  model = await acts.scratchModel(server, data);
});
after(async () => { await browser?.close(); await server?.stop(); });

const list = () => server.call("list_datasets");

/** Deletes what the page shows and says yes; the dialog's text. */
async function remove(page) {
  await page.getByRole("button", { name: /^Delete/ }).first().click();
  const dialog = page.locator("dialog:modal");
  await dialog.waitFor();
  return { dialog, yes: () => dialog.getByRole("button", { name: "Delete" }).click() };
}

test("a deletion names who uses it, and is undone on the list", { timeout: 120_000 }, async () => {
  const run = await acts.launch(server, { data, model, name: "Uses it", values: { max_steps: "2" } });
  await server.reaches(run, ["finished"]);
  const page = await open(browser, server, `/datasets/${data.id}`);
  const { dialog, yes } = await remove(page);
  await dialog.getByText("Uses it").waitFor();
  await yes();
  await page.waitForURL(/\/datasets$/);
  const back = page.getByRole("button", { name: "Undo" });
  await back.waitFor();
  assert.deepEqual(await list(), []);
  assert.deepEqual(await bothThemes(page, "deletion-undo"), []);
  await back.click();
  await page.getByRole("link", { name: data.name }).waitFor();
  await until("the line to be gone", async () => (await back.count()) === 0);
  assert.deepEqual((await list()).map(({ id }) => id), [data.id]);
  noFaults(page);
  await page.context().close();
});

test("the settings show what was deleted and the space it takes, bring it back, or delete it for good", { timeout: 120_000 }, async () => {
  const other = await acts.dataset(server, "other.jsonl", Buffer.from('{"prompt":"Who?","response":"Ember."}'));
  await server.call("delete_dataset", { id: other.id });
  await server.call("delete_dataset", { id: data.id });
  const page = await open(browser, server, "/settings", { width: 390 });
  const lines = page.locator(".deleted > li");
  await lines.nth(1).waitFor();
  assert.deepEqual(await overflow(page), [], "it fits a phone");
  assert.deepEqual(await bothThemes(page, "settings-deleted"), []);
  await page.getByRole("button", { name: `Bring back ${data.name}` }).click();
  await until("one of them to be back", async () => (await lines.count()) === 1);
  assert.deepEqual((await list()).map(({ id }) => id), [data.id]);
  await page.getByRole("button", { name: `Delete ${other.name} for good` }).click();
  const dialog = page.locator("dialog:modal");
  await dialog.waitFor();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await until("the other to be gone", async () => (await lines.count()) === 0);
  assert.deepEqual(await server.call("list_deleted"), []);
  noFaults(page);
  await goto(page, "/datasets");
  await page.getByRole("link", { name: data.name }).waitFor();
  await page.context().close();
});
