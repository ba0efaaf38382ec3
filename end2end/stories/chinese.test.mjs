// What goes wrong is said whole in Chinese: a limit is that of its field, a row's reason is no English sentence.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, overflow, shot, violations } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

const user = { role: "user", content: "你好？" };
const TALKS = [
  { messages: [user, { role: "assistant", content: "你好！" }] },
  { messages: [user, { role: "assistant", content: "" }] },
  { messages: [user] },
  { messages: [user, user] },
];
let server, browser, data, model;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  model = await acts.scratchModel(server, await acts.dataset(server));
  data = await acts.dataset(server, "talks.jsonl", TALKS.map((row) => JSON.stringify(row)).join("\n"));
}, { timeout: 240_000 });
after(async () => { await browser?.close(); await server?.stop(); });

/** Words of Burnish's own English that must not stand on a Chinese page. */
const english = /is empty|holds no|left out|is from|longer than|Choose|Say where/;

for (const [width, theme] of [[1440, "light"], [1440, "dark"], [390, "light"], [390, "dark"]]) {
  test(`${width} px, ${theme}`, { timeout: 120_000 }, async () => {
    const page = await open(browser, server, `/datasets/${data.id}?left_out=1`, { width, height: 844, theme, locale: "zh-CN" });
    const check = async (name) => {
      assert.doesNotMatch(await page.locator("main").innerText(), english, name);
      assert.deepEqual([...(await violations(page)), ...(await overflow(page))], [], name);
      await shot(page, `chinese-${name}-${width}-${theme}`);
    };
    await page.getByText("第 2 条消息（回答）为空").first().waitFor();
    await page.getByText("messages 里没有回答").first().waitFor();
    await page.getByText("第 2 条消息来自「user」，这里应是回答").first().waitFor();
    await check("rows");

    await goto(page, `/datasets/${data.id}/health?model=${model.id}`);
    const empty = page.getByRole("listitem").filter({ hasText: "回答为空" });
    assert.match(await empty.innerText(), /^2\s?行/, "both kinds of empty answers are counted");
    await check("health");

    await goto(page, "/templates");
    await page.locator("#sep").fill("长".repeat(4001));
    await page.getByText("最多 4000 个字符。").waitFor();
    await check("template");

    await goto(page, "/models");
    await page.getByRole("button", { name: "导入" }).first().click();
    await page.getByText("请填写模型所在路径。").waitFor();
    await check("model");
    noFaults(page);
    await page.context().close();
  });
}
