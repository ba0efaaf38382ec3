// Every page, in both languages, with every option of every control chosen at least once, then at random: nothing panics,
// complains, freezes or stops. In Chinese the server's answers come late, so that old parts are used while new ones load.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open } from "../support/browser.mjs";
import { Monkey } from "../support/monkey.mjs";
import { Server } from "../support/server.mjs";

const SEED = Number(process.env.BURNISH_MONKEY_SEED ?? 15);
const LATE = 120; // ms

let server, browser, pages, textId;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const rows = (count, row) => Buffer.from(Array.from({ length: count }, (_, index) => JSON.stringify(row(index))).join("\n"));
  const [talk, pairs, text, unmapped] = await Promise.all([
    acts.dataset(server, "talk.jsonl", rows(60, (i) => ({ prompt: `Where is cup ${i}?`, response: `Cup ${i} stands on shelf ${i % 7}.` }))),
    acts.dataset(server, "pairs.jsonl", rows(30, (i) => ({ prompt: `Is tea ${i} hot?`, chosen: "It is.", rejected: `No idea ${i}.` }))),
    acts.dataset(server, "text.txt", Buffer.from(Array.from({ length: 40 }, (_, i) => `The kettle sings for the ${i}th time today.`).join("\n"))),
    acts.dataset(server, "unmapped.csv", Buffer.from(`one,two\n${Array.from({ length: 30 }, (_, i) => `a${i},b${i}`).join("\n")}\n`)),
  ]);
  const [model] = await Promise.all([acts.scratchModel(server, talk), acts.scratchModel(server, text)]);
  await server.call("save_template", { template: { name: "Plain", prefix: "", system: "", prompt: "Q: {query}\nA: ", sep: "\n", use_history: true, stop_words: [] } });
  const run = await acts.launch(server, { data: talk, model, name: "Cups", values: { max_steps: "4", dev_ratio: "0.1", eval_steps: "2", save_steps: "2", max_source_length: "32", max_target_length: "32" } });
  await server.reaches(run, ["finished"]);
  textId = text.id;
  pages = {
    "/": ["/"],
    "/datasets": ["/datasets"],
    "/datasets/:id": [talk, pairs, text, unmapped].map(({ id }) => `/datasets/${id}`),
    "/datasets/:id/health": [talk, pairs, text].map(({ id }) => `/datasets/${id}/health`),
    "/templates": ["/templates"],
    "/models": ["/models"],
    "/runs": ["/runs"],
    "/runs/new": ["/runs/new", `/runs/new?dataset=${text.id}`],
    "/runs/:id": [`/runs/${run}`],
    "/runs/:id/page": [`/runs/${run}/page`],
    "/playground": ["/playground", `/playground?run=${run}`],
    "/settings": ["/settings"],
    "/help": ["/help"],
  };
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

test("the monkey knows every page there is", async () => {
  const routes = await readFile(new URL("../../app/src/routes.rs", import.meta.url), "utf8");
  assert.deepEqual(Object.keys(pages).sort(), [...routes.matchAll(/path!\("([^"]+)"\)/g)].map(([, path]) => path).sort());
});

const heading = (page) => page.locator("main h1").waitFor();
const arrive = async (page, path) => { await page.waitForURL((url) => url.pathname + url.search === path); await heading(page); };

/** Plays on an address, then leaves it by the navigation, comes back, goes forth and back, and plays on. */
async function visit(page, monkey, path) {
  await monkey.act(`open ${path}`, () => goto(page, path));
  assert.ok(await monkey.play({ most: 500, more: 15 }), `${path}: every control was tried`);
  const away = path === "/help" ? "/settings" : "/help";
  await monkey.act(`go to ${away}`, async () => { await page.locator(`.foot-links a[href="${away}"]`).click(); await arrive(page, away); });
  await monkey.act("go back", async () => { await page.goBack(); await arrive(page, path); });
  await monkey.act("go forward", async () => { await page.goForward(); await arrive(page, away); });
  await monkey.act("go back", async () => { await page.goBack(); await arrive(page, path); });
  await monkey.play({ most: 12, more: 8 });
}

for (const [language, late] of [["en", 0], ["zh", LATE]]) {
  test(`a monkey on every page, ${language}`, { timeout: 240_000 }, async (story) => {
    const page = await open(browser, server, "/settings");
    const monkey = new Monkey(page, SEED);
    await monkey.act(`speak ${language}`, async () => {
      await page.locator(`input[name=lang][value=${language}]`).click();
      await page.locator(`html[lang|=${language}][data-hydrated]`).waitFor({ state: "attached" });
    });
    if (late > 0) await page.route("**/api/**", async (route) => { await new Promise((done) => setTimeout(done, late)); await route.continue().catch(() => { /* the page has left */ }); });
    for (const path of Object.values(pages).flat()) await visit(page, monkey, path);
    story.diagnostic(`seed ${SEED}, ${monkey.steps.length} steps`);
    noFaults(page);
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.context().close();
  });
}

test("to pre-training and back: the template goes and returns, and so does what was typed", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, "/runs/new");
  await page.locator("#system").fill("You pour tea.");
  const chosen = await page.locator("#dataset").inputValue();
  await page.locator("input[name=stage][value=pt]").check();
  await page.locator("#template").waitFor({ state: "detached" });
  assert.equal(await page.locator("#dataset").inputValue(), chosen, "questions and answers can be read as text");
  await page.locator("#dataset").selectOption(textId);
  await page.locator("input[name=stage][value=ppo]").check();
  await page.locator("input[name=stage][value=sft]").check();
  await page.locator("#template").waitFor();
  assert.equal(await page.locator("#system").inputValue(), "You pour tea.");
  await page.locator("#num_train_epochs").fill("two");
  await page.locator(".bar .error").waitFor();
  noFaults(page);
  await page.context().close();
});
