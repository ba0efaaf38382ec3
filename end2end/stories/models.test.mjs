// Models come in as a path, as uploaded files and in shards; a broken one says what is wrong and nothing of it stays.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as acts from "../support/acts.mjs";
import { goto, launch, noFaults, open, shot } from "../support/browser.mjs";
import { Server, until } from "../support/server.mjs";

let server, browser, page, data, model, folder;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  data = await acts.dataset(server);
  model = await acts.scratchModel(server, data);
  folder = join(server.dataDir, "models", model.id);
  page = await open(browser, server, "/models");
});
after(async () => { await browser?.close(); await server?.stop(); });

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer });
const kept = async (...names) => Promise.all(names.map(async (name) => file(name, await readFile(join(folder, name)))));

/** The weights of a safetensors file as two files and an index, as large models are handed out. */
function shards(bytes) {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString());
  delete header.__metadata__;
  const names = Object.keys(header);
  const weight_map = {};
  const files = [names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)].map((part, i) => {
    const name = `model-0000${i + 1}-of-00002.safetensors`;
    const head = {};
    const chunks = [];
    let at = 0;
    for (const tensor of part) {
      const [from, to] = header[tensor].data_offsets;
      chunks.push(bytes.subarray(start + from, start + to));
      head[tensor] = { ...header[tensor], data_offsets: [at, at + to - from] };
      at += to - from;
      weight_map[tensor] = name;
    }
    const text = Buffer.from(JSON.stringify(head));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return file(name, Buffer.concat([length, text, ...chunks]));
  });
  return [...files, file("model.safetensors.index.json", Buffer.from(JSON.stringify({ metadata: {}, weight_map })))];
}

async function upload(name, files) {
  await goto(page, "/models");
  const card = page.getByRole("region", { name: "Upload files" });
  await card.locator("input[type=file]").setInputFiles(files);
  await card.getByLabel("Name").fill(name);
  await card.getByRole("button", { name: "Upload and import" }).click();
  return card;
}

const ended = (name) => until(`${name} to be imported or refused`, async () => (await server.call("list_models")).find((one) => one.name === name && one.state !== "importing"), 60_000);

test("uploaded shards hold the same weights and can be trained", { timeout: 180_000 }, async () => {
  const [weights] = await kept("model.safetensors");
  await upload("In shards", [...(await kept("config.json", "tokenizer.json", "tokenizer_config.json")), ...shards(weights.buffer)]);
  const came = await ended("In shards");
  assert.equal(came.state, "ready", JSON.stringify(came.problem));
  assert.equal(came.facts.parameters, model.facts.parameters);
  await page.getByText("In shards").first().waitFor();
  await shot(page, "models");

  const values = { max_steps: "4", per_device_train_batch_size: "4" };
  const runs = await Promise.all([model, came].map((one) => acts.launch(server, { data, model: one, tuning: "lora", values })));
  const [first, second] = await Promise.all(runs.map((id) => server.reaches(id, ["finished"])));
  assert.equal(acts.losses(first).length, 4);
  assert.deepEqual(acts.losses(second), acts.losses(first), "the same weights learn the same way");
});

test("a folder on the server's disk comes in by its path", async () => {
  await goto(page, "/models");
  const card = page.getByRole("region", { name: "From this machine" });
  await card.getByLabel("Path").fill(folder);
  await card.getByLabel("Name").fill("By path");
  await card.getByRole("button", { name: "Import" }).click();
  const came = await ended("By path");
  assert.equal(came.facts?.digest, model.facts.digest);
  await card.getByLabel("Path").fill("/there/is/nothing");
  await card.getByRole("button", { name: "Import" }).click();
  await card.getByRole("alert").filter({ hasText: "/there/is/nothing" }).waitFor();
});

test("what is no model is refused with a reason, and nothing of it stays", { timeout: 120_000 }, async () => {
  const folders = async () => (await readdir(join(server.dataDir, "models"))).sort();
  const before = await folders();
  const card = await upload("A pickle", [file("pytorch_model.bin", Buffer.from("\x80\x02ctorch"))]);
  await card.getByRole("alert").filter({ hasText: /safetensors/ }).waitFor();

  const [weights] = await kept("model.safetensors");
  const others = await kept("config.json", "tokenizer.json", "tokenizer_config.json");
  const lying = Buffer.from(weights.buffer);
  lying.writeBigUInt64LE(1n << 60n);
  const head = Buffer.concat([Buffer.from("GGUF"), Buffer.from([3, 0, 0, 0]), Buffer.alloc(16, 0xff)]);
  const cases = [
    ["Cut weights", [...others, file("model.safetensors", weights.buffer.subarray(0, weights.buffer.length >> 1))]],
    ["Lying weights", [...others, file("model.safetensors", lying)]],
    ["Lying GGUF", [file("lying.gguf", head)]],
    ["Unknown kind", [...others.slice(1), weights, file("config.json", Buffer.from(others[0].buffer.toString().replace('"llama"', '"mamba"')))]],
  ];
  for (const [name, files] of cases) {
    await upload(name, files);
    const refused = await ended(name);
    assert.equal(refused.state, "failed", name);
    assert.ok(refused.problem.message.length > 15 && !/panic|\/tmp|\.rs:/.test(JSON.stringify(refused.problem)), JSON.stringify(refused.problem));
    await page.getByText(refused.problem.message).first().waitFor();
  }
  assert.deepEqual(await folders(), before, "no folder is left");
  assert.deepEqual(await readdir(join(server.dataDir, "uploads")), [], "no upload is left");
  noFaults(page);
});
