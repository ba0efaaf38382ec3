// A large file goes on where it broke off: when the server was away, and when the page was loaded anew.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hydrated, launch, noFaults, open } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

const PART = 8 * 1024 * 1024;

let server, browser, folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "burnish-files-"));
  [server, browser] = await Promise.all([Server.start(), launch()]);
});
after(async () => { await browser?.close(); await server?.stop(); await rm(folder, { recursive: true, force: true }); });

/** A file of more than two parts whose rows all differ from those of another `seed`. */
async function file(seed) {
  const rows = Array.from({ length: 3000 }, (_, i) => JSON.stringify({ prompt: `${seed} ${i}`, response: "x".repeat(6000) }));
  const bytes = Buffer.from(rows.join("\n"));
  assert.ok(bytes.length > 2 * PART && bytes.length < 3 * PART);
  const path = join(folder, `${seed}.jsonl`);
  await writeFile(path, bytes);
  return { path, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** Where each part that the page sends begins. */
function parts(page) {
  const sent = [];
  page.on("request", (request) => { if (request.method() === "PATCH") sent.push(Number(request.headers()["upload-offset"])); });
  return sent;
}

const stored = async () => (await server.call("list_datasets")).map(({ sha256 }) => sha256);

test("an upload goes on when the server is back", { timeout: 120_000 }, async () => {
  const { path, sha256 } = await file("away");
  const page = await open(browser, server, "/datasets");
  const sent = parts(page);
  let killed = false;
  await page.route(/\/resumable\//, async (route) => {
    if (!killed && route.request().headers()["upload-offset"] === String(PART)) {
      killed = true;
      await server.kill();
    }
    await route.continue().catch(() => { /* the server is gone */ });
  });
  await page.locator("input[name=file]").setInputFiles(path);
  await page.getByText(/goes on from where it was/).waitFor();
  await server.up();
  await page.waitForURL(/\/datasets\/[\w-]+$/, { timeout: 60_000 });
  assert.deepEqual(await stored(), [sha256]);
  assert.deepEqual([...new Set(sent)], [0, PART, 2 * PART]);
  assert.equal(sent.filter((at) => at === 0).length, 1, "what was there is not sent again");
  noFaults(page);
  await page.context().close();
});

test("a file chosen again after the page was loaded anew goes on, too", { timeout: 120_000 }, async () => {
  const { path, sha256 } = await file("reload");
  const page = await open(browser, server, "/datasets");
  const sent = parts(page);
  let hold = true;
  await page.route(/\/resumable\//, async (route) => {
    if (hold && route.request().headers()["upload-offset"] === String(2 * PART)) return; // never answered
    await route.continue().catch(() => { /* the page is gone */ });
  });
  await page.locator("input[name=file]").setInputFiles(path);
  await until("the third part", async () => sent.includes(2 * PART));
  hold = false;
  await page.reload();
  await hydrated(page);
  await page.locator("input[name=file]").setInputFiles(path);
  await page.waitForURL(/\/datasets\/[\w-]+$/, { timeout: 60_000 });
  assert.ok((await stored()).includes(sha256));
  assert.deepEqual(sent, [0, PART, 2 * PART, 2 * PART]);
  noFaults(page);
  await page.context().close();
});
