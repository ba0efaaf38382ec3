// What is wrong with a file or a form is said once, with the place and what to do.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let server, browser, page;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  page = await open(browser, server, "/datasets");
});
after(async () => { await browser?.close(); await server?.stop(); });

const good = JSON.stringify({ prompt: "a", response: "b" });
const files = [
  ["a line with a column twice names its number", "twice.jsonl", `${good}\n${good}\n{"prompt": "c", "prompt": "d"}\n${good}\n`, /\b3\b/],
  ["a file without rows", "empty.jsonl", "", /empty|no row|nothing/i],
  ["a kind of file that is not read", "table.ods", "PK\u0003\u0004", /json|csv|txt/i],
];
for (const [name, file, text, said] of files) {
  test(name, async () => {
    await goto(page, "/datasets");
    await page.locator("input[type=file][name=file]").setInputFiles({ name: file, mimeType: "application/octet-stream", buffer: Buffer.from(text) });
    const alert = page.getByRole("alert").filter({ hasText: /\S/ });
    await alert.first().waitFor();
    assert.equal(await alert.count(), 1, "one message");
    assert.match(await alert.innerText(), said);
    assert.equal(new URL(page.url()).pathname, "/datasets");
    assert.equal((await server.call("list_datasets")).length, 0, "nothing is kept of it");
    await shot(page, `bad-${file.split(".")[0]}`);
  });
}

test("a form says what is wrong under its own field, and launches nothing", async () => {
  const data = await acts.dataset(server);
  await acts.scratchModel(server, data);
  await goto(page, "/runs/new");
  const rate = page.getByLabel("Learning rate", { exact: true });
  await rate.fill("fast");
  await rate.blur();
  assert.equal(await rate.getAttribute("aria-invalid"), "true");
  const described = (await rate.getAttribute("aria-describedby")).split(" ");
  const texts = await Promise.all(described.map((id) => page.locator(`[id="${id}"]`).innerText()));
  assert.ok(texts.some((text) => /number/i.test(text)), `says that a number is wanted: ${texts}`);
  const start = page.getByRole("button", { name: "Start the run" });
  if (await start.isEnabled()) await start.click();
  await page.waitForTimeout(500);
  assert.equal((await server.call("list_runs")).length, 0);
  noFaults(page);
});

test("an address that leads nowhere says so", async () => {
  const answer = await page.goto("/nowhere");
  assert.equal(answer.status(), 404);
  await page.getByRole("heading", { level: 1, name: "There is no such page" }).waitFor();
  assert.equal((await page.goto("/runs/0193-there-is-none")).status(), 404);
  await page.getByRole("alert").filter({ hasText: /\S/ }).first().waitFor();
});
