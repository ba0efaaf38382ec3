// Imports the starter model, trains LoRA steps on the sample dataset and decodes, all through the worker's own commands.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const work = resolve(process.argv[2]);
const worker = process.env.BURNISH_WORKER;
// The starter model as its file has it, and the same weights as f32 (`plain` is made by bench.sh).
const [kept, plain, dense] = [`${work}/kept`, `${work}/plain`, `${work}/model`];
const run = `${work}/run`;
const STEPS = 8;

function ended(args) {
  const done = spawnSync(worker, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`burnish-worker ${args[0]} ended with ${done.status}:\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** Imports a model as the studio does. */
function bring(source, folder) {
  rmSync(folder, { recursive: true, force: true });
  ended(["import", source, folder]);
}

bring(process.env.BURNISH_STARTER, kept);
for (const file of ["tokenizer.json", "tokenizer_config.json"]) cpSync(`${kept}/${file}`, `${plain}/${file}`);
bring(plain, dense);

/** Times LoRA steps. */
function train(what, model) {
  rmSync(run, { recursive: true, force: true });
  mkdirSync(`${run}/attempts`, { recursive: true });
  for (const folder of ["checkpoints", "control"]) mkdirSync(`${run}/${folder}`);
  const data = `${work}/kettle-and-co.jsonl`;
  cpSync("public/samples/kettle-and-co.jsonl", data);
  const hyper = {
    num_train_epochs: 1, learning_rate: 1e-3, per_device_train_batch_size: 4, lora_rank: 8, lora_alpha: 16, lora_dropout: 0,
    lora_target: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], max_source_length: 512, max_target_length: 512,
    dev_ratio: 0, max_samples: 0, gradient_accumulation_steps: 1, lr_scheduler_type: "cosine", warmup_ratio: 0, max_steps: STEPS,
    weight_decay: 0, max_grad_norm: 1, eval_steps: 0, save_steps: 0, seed: 42, device: "cpu",
  };
  writeFileSync(`${run}/spec.json`, JSON.stringify({
    format: 1, run: "bench", name: "bench", stage: "sft", tuning: "lora",
    model: { id: "bench", name: "SmolLM2-135M-Instruct", folder: model, digest: "" },
    dataset: { id: "bench", name: "Kettle & Co", file: data, kind: "jsonl", mapping: { format: "prompt_response", prompt: "prompt", response: "response" }, sha256: "" },
    template: "model", system: "", hyper,
  }));
  ended(["train", run, "--attempt", "1"]);
  const events = readFileSync(`${run}/attempts/0001/events.jsonl`, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const steps = events.filter(({ what }) => what.kind === "step");
  const gaps = steps.slice(1).map((event, i) => (event.at_ms - steps[i].at_ms) / 1000).sort((a, b) => a - b);
  const finished = events.find(({ what }) => what.kind === "finished")?.what;
  console.log(`   LoRA step, batch 4, ${what}: ${gaps[gaps.length >> 1].toFixed(2)} s (median of ${gaps.length}), peak ${Math.round(finished.peak_memory_bytes / 1e6)} MB`);
}

/** Times one answer. */
async function speak(what, model) {
  const talk = spawn(worker, ["generate"], { stdio: ["pipe", "pipe", "inherit"] });
  const say = (command) => talk.stdin.write(`${JSON.stringify(command)}\n`);
  say({ command: "load", model, chain: [] });
  for await (const line of createInterface({ input: talk.stdout })) {
    const { request, delta } = JSON.parse(line);
    if (delta.type === "error") throw new Error(delta.problem.message);
    if (request === 0 && delta.type === "ready") {
      say({ command: "generate", request: 1, template: "model", messages: [{ role: "user", content: "Tell me a long story about a lighthouse." }], settings: { do_sample: false, max_new_tokens: 128 } });
    }
    if (request === 1 && delta.type === "done") {
      console.log(`   decode, batch 1, ${what}: ${delta.tokens_per_second.toFixed(1)} tokens/s over ${delta.tokens} tokens`);
      break;
    }
  }
  talk.kill();
}

train("base kept in its blocks", kept);
train("base in f32", dense);
await speak("weights in their blocks", kept);
await speak("weights in f32", dense);
