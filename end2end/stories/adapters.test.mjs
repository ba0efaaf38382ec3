// An adapter that was trained elsewhere comes in, is put on its base, and is from then on like what a run has made.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

const FILES = ["adapter_config.json", "adapter_model.safetensors"];

let server, browser, page, data, model, files;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  data = await acts.dataset(server);
  model = await acts.scratchModel(server, data);
  const values = { max_steps: "4", per_device_train_batch_size: "4", lora_rank: "4" };
  const run = await acts.launch(server, { data, model, tuning: "lora", values });
  const view = await server.reaches(run, ["finished"]);
  const folder = join(server.dataDir, "runs", run, "checkpoints", `step-${String(view.checkpoints[0].step).padStart(8, "0")}`);
  files = await Promise.all(FILES.map(async (name) => ({ name, mimeType: "application/octet-stream", buffer: await readFile(join(folder, name)) })));
  page = await open(browser, server, "/models");
});
after(async () => { await browser?.close(); await server?.stop(); });

const named = async (name) => (await server.call("list_models")).find((one) => one.name === name);

async function upload(name, chosen) {
  await goto(page, "/models");
  const card = page.getByRole("region", { name: "Upload files" });
  await card.locator("input[type=file]").setInputFiles(chosen);
  await card.getByLabel("Name").fill(name);
  await card.getByRole("button", { name: "Upload and import" }).click();
  return until(`${name} to be told apart`, async () => (await named(name))?.state === "failed" && named(name), 60_000);
}

test("it is told apart from a model, put on its base and starts a run", { timeout: 180_000 }, async () => {
  const came = await upload("From elsewhere", files);
  assert.equal(came.problem.code, "model.is_adapter");
  const plain = await (await fetch(`${server.url}/models`)).text();
  assert.match(plain, /Put it on this model/, "the choice is in the page before any script");
  await goto(page, "/models");
  const card = page.getByRole("region", { name: /From elsewhere/ });
  await card.getByText(`Made for ${model.name}`).waitFor();
  await shot(page, "adapter-waits");
  assert.equal(await card.getByLabel("On which model?").inputValue(), model.id, "the base of its name is chosen");
  await card.getByRole("button", { name: "Put it on this model" }).click();
  await page.waitForURL(/\/runs\/[^/?]+$/);
  await page.getByRole("heading", { name: "Brought in from elsewhere." }).waitFor();
  await shot(page, "adapter-brought");
  assert.equal(await named("From elsewhere"), undefined, "it waits no more");

  await page.getByRole("link", { name: "Start the next run from this" }).click();
  await page.waitForURL(/\/runs\/new/);
  const start = page.getByLabel("Starts from");
  assert.match(await start.inputValue(), /:0$/, "the new run starts from it");
  noFaults(page);
});

test("an adapter whose base is not here says which one to bring", { timeout: 120_000 }, async () => {
  const config = { ...JSON.parse(files[0].buffer.toString()), base_model_name_or_path: "/home/somebody/another-base" };
  const weights = files[1].buffer;
  const start = 8 + Number(weights.readBigUInt64LE(0));
  // Blocks that no model here has.
  const header = Buffer.from(weights.subarray(8, start).toString().replaceAll(".layers.", ".layers.9"));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const foreign = Buffer.concat([length, header, weights.subarray(start)]);
  const came = await upload("Foreign", [{ ...files[0], buffer: Buffer.from(JSON.stringify(config)) }, { ...files[1], buffer: foreign }]);
  assert.equal(came.problem.params.base, "another-base");
  await goto(page, "/models");
  const card = page.getByRole("region", { name: /Foreign/ });
  await card.getByText(/Bring another-base in first/).waitFor();
  assert.equal(await card.getByText("/home/somebody").count(), 0, "no path of anybody's disk");
  await card.getByRole("button", { name: "Delete Foreign" }).click();
  noFaults(page);
});
