// Several files, or a folder, become one dataset or one each; a typed SHA-1 is compared and only marks.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, noFaults, open } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "burnish-several-"));
  [server, browser] = await Promise.all([Server.start(), launch()]);
});
after(async () => { await browser?.close(); await server?.stop(); await rm(folder, { recursive: true, force: true }); });

const row = (n) => JSON.stringify({ prompt: `Question ${n}?`, response: `Answer ${n}.` });

/** Files of rows numbered through, in a folder of their own. */
async function files(name, all) {
  const place = join(folder, name);
  await mkdir(place, { recursive: true });
  const paths = [];
  for (const [file, text] of Object.entries(all)) {
    await writeFile(join(place, file), text);
    paths.push(join(place, file));
  }
  return { place, paths };
}

const stored = () => server.call("list_datasets");

test("several files become one dataset in the order of their names", { timeout: 120_000 }, async () => {
  const { paths } = await files("shards", {
    "tea-00002-of-00011.jsonl": row(2), "tea-00010-of-00011.jsonl": row(10), "tea-00000-of-00011.jsonl": `${row(0)}\n${row(1)}`,
  });
  const page = await open(browser, server, "/datasets");
  await page.locator("input[name=file]").setInputFiles(paths);
  const together = page.getByRole("radio", { name: /One dataset/ });
  await together.waitFor();
  assert.ok(await together.isChecked(), "the guess");
  await page.getByText(/Not among them: .*tea-00001-of-00011\.jsonl/).waitFor();
  await together.focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/datasets\/[\w-]+$/, { timeout: 60_000 });
  const [view] = await stored();
  assert.deepEqual([view.files, view.inspection.rows], [3, 4]);
  await page.getByText(/Made of 3 files/).click();
  await page.getByText("tea-00010-of-00011.jsonl").waitFor();
  const { rows } = await server.call("dataset_rows", { id: view.id, query: { start: 1, count: 9, text: "", left_out: false } });
  assert.deepEqual(rows.map(({ cells }) => cells[0]), [0, 1, 2, 10].map((n) => `Question ${n}?`));
  assert.deepEqual(rows[3].from, { file: "tea-00010-of-00011.jsonl", row: 1 });
  noFaults(page);
  await page.context().close();
});

test("a folder is one dataset, and what it holds besides is passed over in words", { timeout: 120_000 }, async () => {
  const { place } = await files("kettles", { "part-2.csv": "prompt,response\nb,B\n", "part-10.csv": "prompt,response\nc,C\n", ".hidden": "x", "README.md": "# x" });
  const page = await open(browser, server, "/datasets");
  await page.locator("input[name=folder]").setInputFiles(place);
  await page.getByText(/Not read: .*README\.md/).waitFor();
  await page.getByRole("button", { name: "Take them in" }).click();
  await page.waitForURL(/\/datasets\/[\w-]+$/, { timeout: 60_000 });
  const [view] = await stored();
  assert.deepEqual([view.files, view.inspection.rows], [2, 2]);
  noFaults(page);
  await page.context().close();
});

test("files of two kinds are taken in one by one", { timeout: 120_000 }, async () => {
  const { paths } = await files("mixed", { "a.jsonl": row(1), "b.csv": "prompt,response\nb,B\n" });
  const before = (await stored()).length;
  const page = await open(browser, server, "/datasets");
  await page.locator("input[name=file]").setInputFiles(paths);
  await page.getByText(/a\.jsonl and b\.csv are of different kinds/).waitFor();
  assert.ok(await page.getByRole("radio", { name: /One dataset/ }).isDisabled());
  await page.getByRole("button", { name: "Take them in" }).click();
  await until("both to be there", async () => (await stored()).length === before + 2);
  await until("both links", async () => (await page.locator(".drop").getByRole("link", { name: "Open" }).count()) === 2);
  noFaults(page);
  await page.context().close();
});

test("a typed SHA-1 is said to be equal or different, and one that is none is refused", { timeout: 120_000 }, async () => {
  const text = `${row(7)}\n`;
  const { paths } = await files("digest", { "seven.jsonl": text });
  const sha1 = createHash("sha1").update(text).digest("hex");
  const page = await open(browser, server, "/datasets");
  const upload = page.locator(".drop");
  await upload.getByText("Compare with a digest").click();
  await upload.getByLabel(/SHA-1 or SHA-256/).fill(sha1.toUpperCase());
  await page.locator("input[name=file]").setInputFiles(paths[0]);
  await page.waitForURL(/\/datasets\/[\w-]+$/, { timeout: 60_000 });
  await page.locator(".chip.ok", { hasText: `SHA-1 ${sha1.slice(0, 10)} as declared` }).waitFor();
  await page.getByText("Compare with a digest").click();
  const field = page.getByLabel(/SHA-1 or SHA-256/);
  await field.fill(`${"0".repeat(39)}g`);
  await page.getByText(/no hexadecimal digit/).waitFor();
  assert.ok(await page.getByRole("button", { name: "Compare" }).isDisabled());
  await field.fill("0".repeat(64));
  await page.getByRole("button", { name: "Compare" }).click();
  await page.locator(".chip.warn", { hasText: "SHA-256" }).waitFor();
  noFaults(page);
  await page.context().close();
});
