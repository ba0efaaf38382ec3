// Every page, light and dark, phone and desktop, in both languages: accessible, no sideways scrolling, no faults, and
// whole before JavaScript.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { launch, noFaults, open, goto, overflow, shot, violations } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let server, browser, paths;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data);
  const id = await acts.launch(server, { data, model, name: "Everyday talk", values: { max_steps: "30", dev_ratio: "0.1", eval_steps: "10", save_steps: "10" } });
  await server.reaches(id, ["finished"]);
  paths = { start: "/", datasets: "/datasets", dataset: `/datasets/${data.id}`, health: `/datasets/${data.id}/health`, models: "/models", runs: "/runs", "new-run": "/runs/new", run: `/runs/${id}`, playground: "/playground", settings: "/settings", help: "/help" };
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

for (const theme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`${theme}, ${width} px`, { timeout: 180_000 }, async () => {
      const page = await open(browser, server, "/", { theme, width, height: width === 390 ? 844 : 900 });
      const found = [];
      for (const [name, path] of Object.entries(paths)) {
        await goto(page, path);
        assert.equal(await page.locator("h1").count(), 1, `${name} has one main heading`);
        found.push(...(await violations(page)).map((line) => `${name}: ${line}`));
        found.push(...(await overflow(page)).map((line) => `${name}: sticks out: ${line}`));
        await shot(page, `${name}-${theme}-${width}`);
      }
      assert.deepEqual(found, []);
      noFaults(page);
      await page.context().close();
    });
  }
}

test("without JavaScript every page shows what the server knows", { timeout: 120_000 }, async () => {
  const page = await open(browser, server, "/", { javaScriptEnabled: false });
  const told = { datasets: /everyday/i, dataset: /366 rows/, health: /Findings/, models: /Little 1m/, runs: /Everyday talk/, run: /Done\. 30 steps/ };
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(path);
    const text = await page.locator("main").innerText();
    assert.ok(text.length > 40, `${name} is not empty`);
    if (told[name]) assert.match(text, told[name], name);
  }
  assert.equal(await page.goto(paths.run).then(() => page.locator("main svg path").count()) > 0, true, "the curve is drawn by the server");
});

test("in Chinese", { timeout: 120_000 }, async () => {
  const page = await open(browser, server, "/settings");
  await page.getByText("中文", { exact: true }).click();
  await page.locator("html[lang=zh-CN]").waitFor({ state: "attached" });
  const titles = { start: "教模型一些只有你们团队知道的事。", datasets: "数据集", models: "模型", runs: "训练", "new-run": "新建训练", playground: "对话", settings: "设置", help: "帮助" };
  for (const [name, title] of Object.entries(titles)) {
    await goto(page, paths[name]);
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    await shot(page, `${name}-zh`);
  }
  await goto(page, paths.run);
  await page.getByRole("heading", { level: 1, name: /^完成,共 30 步/ }).waitFor();
  assert.deepEqual(await violations(page), []);
  noFaults(page);
});
