// Answers in pairs: brought in, read as pairs, looked over before a run, seen as the reward model sees them. Then a row
// is edited: a new version comes about, and the run that learned from the old one still shows what it learned from.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

const attack = `</textarea><script>document.title="taken"</script><img src=x onerror='document.title="taken"'>`;
const rows = Array.from({ length: 24 }, (_, i) => ({ instruction: `What is ${i} plus one?`, chosen: `It is ${i + 1}.`, rejected: "I would rather not say." }));
rows[2].chosen = attack;
rows[4].rejected = "";
rows[7].chosen = rows[7].rejected;
const pairs = Buffer.from(rows.map((row) => JSON.stringify(row)).join("\n"));

let server, browser, page, model;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  model = await acts.scratchModel(server, await acts.dataset(server));
  page = await open(browser, server, "/datasets");
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

const taken = async () => assert.notEqual(await page.title(), "taken", "no script of a row ran");
const h1 = () => page.getByRole("heading", { level: 1 });

test("a file of pairs is mapped, looked over, and seen by the reward model as two sequences", { timeout: 180_000 }, async () => {
  await page.locator("input[type=file][name=file]").setInputFiles({ name: "pairs.jsonl", mimeType: "application/octet-stream", buffer: pairs });
  await page.waitForURL(/\/datasets\/[0-9a-f-]+$/);
  await page.getByLabel("How rows are read").selectOption("pairs");
  await page.getByLabel("Better answer").selectOption("chosen");
  await page.getByLabel("Worse answer").selectOption("rejected");
  const apply = page.getByRole("button", { name: "Read it this way" });
  if (await apply.isEnabled()) await apply.click();
  await until("the verdict", async () => /23 of 24|24 rows/.test(await h1().innerText()));
  await taken();
  await shot(page, "pairs-dataset");

  await page.getByRole("link", { name: "Check before a run" }).click();
  await page.waitForURL(/\/health$/);
  await page.getByRole("region", { name: "Findings" }).waitFor({ timeout: 60_000 });
  await page.getByLabel("Stage").selectOption("rm");
  const findings = page.getByRole("region", { name: "Findings" });
  await findings.getByText(/twice the same answer/).waitFor({ timeout: 60_000 });
  await page.getByRole("region", { name: "The better answer" }).waitFor();
  await page.getByRole("region", { name: "The worse answer" }).waitFor();
  assert.match((await page.getByRole("region", { name: "The better answer" }).innerText()).replaceAll("⏎", ""), /It is 1\./, "the better answer is there, token by token");
  assert.match(await page.getByRole("region", { name: "The worse answer" }).innerText(), /rather not/, "and the worse one");

  const limit = page.getByRole("slider", { name: "Limit" });
  const said = () => page.locator(".cutoff-said").innerText();
  const before = await said();
  await limit.focus();
  await page.keyboard.press("Home");
  await until("the limit to say what it keeps", async () => (await said()) !== before);
  await page.keyboard.press("End");
  assert.match(await said(), /keeps (\d+) of \1 rows/, "the widest limit keeps every row whole");
  await shot(page, "health-pairs");
  assert.deepEqual(await violations(page), []);

  await findings.getByRole("link", { name: "8", exact: true }).first().click();
  await page.waitForURL(/row=8/);
  await page.locator("tr.marked").getByText("What is 7 plus one?").waitFor();
  noFaults(page);
});

test("an edited row makes a new version, and the old run keeps its own", { timeout: 240_000 }, async () => {
  const old = (await server.call("list_datasets")).find((one) => one.name.startsWith("pairs"));
  const id = await acts.launch(server, { data: old, model, name: "On the first version", values: { max_steps: "2", dev_ratio: "0" } });
  await server.reaches(id, ["finished"]);

  await goto(page, `/datasets/${old.id}`);
  await page.getByRole("searchbox", { name: "Find in the rows" }).fill("taken");
  await page.getByRole("button", { name: "Find", exact: true }).click();
  await page.getByText("Rows 1 to 1 of 1").waitFor();
  await page.getByRole("button", { name: "Edit row 3" }).click();
  const dialog = page.getByRole("dialog");
  const box = dialog.getByLabel("chosen");
  await box.waitFor();
  assert.equal(await box.inputValue(), attack, "the row is text, whatever it says");
  await taken();
  assert.deepEqual(await violations(page), []);
  await shot(page, "edit-row");
  await box.fill("It is 3, <b>surely</b>.");
  await dialog.getByRole("button", { name: "Save as a new version" }).click();
  await until("the new version's page", () => new URL(page.url()).pathname.startsWith("/datasets/") && !page.url().includes(old.id));
  await page.getByText("It is 3, <b>surely</b>.").first().waitFor();
  const versions = page.getByRole("region", { name: "Versions" });
  await versions.getByText(/row 3: chosen/).waitFor();
  await versions.getByText(/1 runs/).waitFor();
  await shot(page, "dataset-versions");

  const all = await server.call("list_datasets");
  assert.deepEqual(all.filter((one) => one.name === old.name).map((one) => one.version), [2], "the list shows the newest version only");
  const view = await server.run(id);
  assert.equal(view.dataset, old.id, "the run keeps the version it learned from");
  await goto(page, `/runs/${id}`);
  await page.getByRole("link", { name: "See its training data" }).click();
  await page.waitForURL(new RegExp(old.id));
  await page.getByText("This is version 1.").waitFor();
  await page.getByText(attack.slice(0, 20)).first().waitFor();
  assert.equal(await page.getByRole("button", { name: /^Edit row/ }).count(), 0, "an old version is not edited");
  await page.getByRole("link", { name: "Open the newest version" }).click();
  await page.getByText("It is 3, <b>surely</b>.").first().waitFor();
  await taken();
  noFaults(page);
});
