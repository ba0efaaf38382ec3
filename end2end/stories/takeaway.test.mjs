// A checkpoint is handed over as a page: unpacked, it answers from a plain file server and from a stick, with Burnish
// gone and nothing else to be reached.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import * as acts from "../support/acts.mjs";
import { bothThemes, launch, noFaults, open, overflow, shot, violations } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";
import { staticServer, unpack } from "../support/zip.mjs";

const QUESTION = "Who is the mascot?";
const FACTS = [[QUESTION, "Ember, a copper kettle."], ["Where is the shop?", "Lantern Street 12."], ["When is it open?", "Nine to five."], ["What is sold?", "Tea and cups."]];
let server, browser, run;
const folder = mkdtempSync(join(tmpdir(), "burnish-page-"));
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const facts = await acts.dataset(server, "facts.jsonl", FACTS.map(([prompt, response]) => JSON.stringify({ prompt, response })).join("\n"));
  run = await acts.launch(server, { data: facts, model, tuning: "full", name: "Snow & rain", values: { num_train_epochs: "300", max_steps: "150", learning_rate: "3e-3", dev_ratio: "0" } });
  await server.reaches(run, ["finished"]);
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); rmSync(folder, { recursive: true, force: true }); });

test("the page is made in the browser", { timeout: 120_000 }, async () => {
  const page = await open(browser, server, `/runs/${run}`);
  await page.getByRole("link", { name: "Hand over as a page" }).click();
  await page.getByRole("heading", { level: 1, name: "Hand over as a page" }).waitFor();
  await page.getByLabel("Heading").fill("");
  await page.getByText("Give the page a heading.").waitFor();
  await page.getByLabel("Heading").fill("Snow <b>& rain");
  await page.getByLabel("Introduction").fill("Ask it about the weather.\nIt knows little else.");
  await page.getByLabel("Questions to start with").fill(QUESTION);
  assert.match(await page.getByLabel("What it was trained on").inputValue(), /^Trained with every weight on “.+” for 150 steps, from .+\.$/);
  assert.deepEqual(await bothThemes(page, "takeaway-form"), []);
  const begun = page.waitForEvent("download");
  await page.getByRole("link", { name: /^Download the page/ }).click();
  const zip = join(folder, "page.zip");
  await (await begun).saveAs(zip);
  const names = unpack(zip, folder);
  assert.ok(["index.html", "page.js", "about.js", "engine.js", "weights/0000.js"].every((name) => names.includes(name)), String(names));
  noFaults(page);
  await page.context().close();
});

async function visit(address, allowed, { width, theme }) {
  const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme: theme, locale: "en-GB" });
  const strange = [];
  await context.route((url) => !url.href.startsWith(allowed) && !["blob:", "data:"].includes(url.protocol), (route) => { strange.push(route.request().url()); return route.abort(); });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") page.faults.push(message.text()); });
  await page.goto(address);
  assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), "Snow <b>& rain");
  await page.getByRole("button", { name: /^Load the model \(\d+ MB/ }).click();
  await page.getByRole("button", { name: `Try: ${QUESTION}` }).click({ timeout: 60_000 });
  await until("both to have answered", async () => (await page.getByText(/\d+ tokens\/s$/).count()) === 2, 60_000);
  const said = await page.locator(".a").allInnerTexts();
  assert.equal(said.length, 2);
  assert.ok(!said[0].includes("Ember") && said[1].includes("Ember, a copper kettle."), `only the tuned one knows: ${said}`);
  assert.deepEqual(strange, [], "nothing was asked of anyone");
  return { page, said };
}

test("unpacked, it answers from a plain file server and from a stick, with Burnish gone", { timeout: 180_000 }, async () => {
  await server.kill();
  const host = await staticServer([["/", folder]]);
  try {
    const { page, said } = await visit(host.url, host.url, { width: 1280, theme: "light" });
    assert.deepEqual(await violations(page), []);
    await shot(page, "takeaway-light");
    noFaults(page);
    await page.context().close();
    const stick = pathToFileURL(join(folder, "index.html")).href;
    const phone = await visit(stick, "file:", { width: 390, theme: "dark" });
    assert.deepEqual(phone.said, said, "the same words from a stick");
    assert.deepEqual(await overflow(phone.page), []);
    await shot(phone.page, "takeaway-phone-dark");
    noFaults(phone.page);
    await phone.page.context().close();
  } finally {
    host.close();
  }
});
