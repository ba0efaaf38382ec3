// Burnish is renewed while a page is open: nothing of the old build goes on beside the new one, and the next page is
// loaded anew. Between renewals, browsers ask for no file twice.
import assert from "node:assert/strict";
import { appendFile, cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { hydrated, launch, noFaults, open, openEarly } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, site;
before(async () => {
  site = await mkdtemp(join(tmpdir(), "burnish-site-"));
  await cp(process.env.BURNISH_SITE, site, { recursive: true });
  [server, browser] = await Promise.all([Server.start({ site }), launch()]);
});
after(async () => { await browser?.close(); await server?.stop(); await rm(site, { recursive: true, force: true }); });

/** Another build, on the same port and data. */
async function renew() {
  await server.kill();
  await appendFile(join(site, "pkg/burnish.css"), "\n/* the next build */\n");
  await server.up();
  return (await fetch(`${server.url}/healthz`)).headers.get("burnish-build");
}

const build = (page) => page.evaluate(() => document.documentElement.dataset.build);

test("a second visit asks for no script again", { timeout: 60_000 }, async () => {
  const page = await open(browser, server, "/settings");
  await page.getByText("None. Load one in the playground.").waitFor(); // its worker is here, too
  await page.goto("/settings");
  await hydrated(page);
  const files = await page.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => name.includes("/build/")).map(({ name, transferSize }) => [name, transferSize]));
  assert.ok(files.some(([name]) => name.endsWith("burnish_bg.wasm")), String(files));
  assert.deepEqual(files.filter(([, bytes]) => bytes > 0), [], "all of them were here");
  noFaults(page);
  await page.context().close();
});

test("an open page does nothing against a new build, says why, and the next page is new", { timeout: 90_000 }, async () => {
  const page = await open(browser, server, "/");
  const first = await build(page);
  const next = await renew();
  assert.notEqual(next, first);
  await page.getByRole("button", { name: /Try it now/ }).click();
  await page.getByText(/Burnish was renewed/).first().waitFor();
  assert.deepEqual(await server.call("list_runs"), [], "nothing was started");
  assert.equal(await build(page), first, "the page stays as long as nobody leaves it");
  await page.getByRole("link", { name: "Datasets" }).click();
  await page.waitForURL(/\/datasets$/);
  await until("the next page to be of the new build", async () => (await build(page)) === next, 20_000);
  await hydrated(page);
  noFaults(page);
  await page.context().close();
});

test("a page that was opened just after the renewal is loaded anew by itself", { timeout: 90_000 }, async () => {
  const page = await open(browser, server, "/help");
  await page.route(/\/api\/read_system/, (route) => route.abort()); // the machine's meter would notice first
  const next = await renew();
  await page.getByRole("link", { name: "Models" }).click();
  await page.waitForURL(/\/models$/);
  await until("the page to be of the new build", async () => (await build(page)) === next, 20_000);
  await hydrated(page);
  await page.context().close();
});

test("a renewal while the script is on its way loads the page anew", { timeout: 90_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/");
  const next = await renew();
  await land();
  assert.equal(await build(page), next);
  await page.context().close();
});

test("a server that was away while its script was asked for is waited for", { timeout: 90_000 }, async () => {
  const { page, land } = await openEarly(browser, server, "/");
  const noticed = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/healthz"));
  await server.kill();
  const landed = land();
  await noticed;
  await server.up();
  await landed;
  await page.context().close();
});
