// Chromium, pages in a given theme, size and language, and the accessibility check.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const results = fileURLToPath(new URL("../test-results/", import.meta.url));
mkdirSync(results, { recursive: true });

export function launch() {
  return chromium.launch({
    executablePath: process.env.BURNISH_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });
}

/** A page whose script errors are kept in `page.faults`; a story that does not expect any checks `noFaults`. */
export async function open(browser, server, path, { width = 1440, height = 900, theme = "light", locale = "en-GB", javaScriptEnabled = true } = {}) {
  const context = await browser.newContext({ baseURL: server.url, viewport: { width, height }, colorScheme: theme, locale, javaScriptEnabled, reducedMotion: "reduce" });
  // The Content-Security-Policy stays on; axe is put in through the debugger, which it does not concern.
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/WebSocket|ERR_CONNECTION|Failed to load resource/.test(message.text())) page.faults.push(message.text());
  });
  if (path) await goto(page, path, javaScriptEnabled);
  return page;
}

/** Opens a path whose WebAssembly stays on its way until `land()`: the page is there to see and does not answer yet. */
export async function openEarly(browser, server, path, options = {}) {
  const page = await open(browser, server, undefined, options);
  let land, asked;
  const way = new Promise((done) => (land = done)), wanted = new Promise((done) => (asked = done));
  await page.route(/burnish_bg\.wasm/, async (route) => { asked(); await way; await route.continue().catch(() => { /* the page is gone */ }); });
  await page.goto(path, { waitUntil: "commit" });
  await Promise.all([page.locator("h1").waitFor(), wanted]);
  return { page, async land() { land(); await hydrated(page); } };
}

/** Waits until the page answers to clicks: `early.js` says so. */
export function hydrated(page) {
  return page.locator("html[data-hydrated]").waitFor({ state: "attached" });
}

/** Goes to a path and waits until the page answers to clicks. */
export async function goto(page, path, javaScriptEnabled = true) {
  await page.goto(path);
  if (!javaScriptEnabled) return;
  await hydrated(page).catch((error) => { noFaults(page); throw error; });
}

export function noFaults(page) {
  if (page.faults.length > 0) throw new Error(`the browser's console shows faults on ${page.url()}:\n${page.faults.join("\n")}`);
}

/** Serious and critical findings of axe-core, one line each. Without its own copies of styles, which a page from a disk may not fetch. */
export async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], preload: false }));
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary?.split("\n")[1]?.trim() ?? ""}`));
}

/** Findings of axe-core in both themes, and a picture of each. */
export async function bothThemes(page, name) {
  const found = [];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    found.push(...(await violations(page)).map((finding) => `${colorScheme}: ${finding}`));
    await shot(page, `${name}-${colorScheme}`);
  }
  return found;
}

/** Elements that stick out of the window to the right without a scroll area of their own; a phone must not lose them. */
export function overflow(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (element) => element && element !== document.body && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    return [...document.querySelectorAll("body *")]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > width + 1 && !element.closest("svg") && !scrolls(element.parentElement))
      .slice(0, 5)
      .map((element) => `${element.tagName.toLowerCase()}.${element.className}`);
  });
}

export function shot(page, name) {
  return page.screenshot({ path: `${results}${name}.png`, fullPage: true });
}
