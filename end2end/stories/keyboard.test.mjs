// No mouse: from the start page to a launched run with Tab, arrows, Space and Enter alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { launch, noFaults, open } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser;
before(async () => { [server, browser] = await Promise.all([Server.start(), launch()]); });
after(async () => { await browser?.close(); await server?.stop(); });

/** Presses Tab until the focused element is the wanted one; each stop on the way must be visibly focused. */
async function tabTo(page, locator, most = 80) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    if (await locator.evaluate((element) => element === document.activeElement)) {
      const outline = await locator.evaluate((element) => {
        const style = getComputedStyle(element);
        const shown = element.matches("input[type=radio], input[type=checkbox]") ? getComputedStyle(element.closest("label") ?? element) : style;
        return parseFloat(style.outlineWidth) + parseFloat(shown.outlineWidth) + (style.boxShadow === "none" ? 0 : 1);
      });
      assert.ok(outline > 0, "focus can be seen");
      return;
    }
  }
  throw new Error(`Tab does not reach ${locator}`);
}

test("from the start page to a launched run", { timeout: 180_000 }, async () => {
  const data = await acts.dataset(server);
  await acts.scratchModel(server, data);
  const page = await open(browser, server, "/");
  await page.keyboard.press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to the content/);
  await tabTo(page, page.getByRole("link", { name: "Runs", exact: true }).first());
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs$/);
  await tabTo(page, page.getByRole("link", { name: "New run" }).first());
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs\/new/);
  const steps = page.getByLabel("Rounds (epochs)");
  await tabTo(page, steps);
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("0.1");
  await tabTo(page, page.getByRole("button", { name: "Start the run" }));
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs\/[0-9a-f-]{8,}$/);
  await until("the run to be known", async () => (await server.call("list_runs")).length === 1);
  noFaults(page);
});
