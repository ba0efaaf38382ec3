// Searches through a large file take nothing from a launch, a stop or a first step (findings F6, promise S28): 600 at
// once, and as many as the server takes for as long as it lasts. Prints what it measured; fails beyond its bars.
import assert from "node:assert/strict";
import * as acts from "../support/acts.mjs";
import { Server, until } from "../support/server.mjs";

const AT_ONCE = 600, KEPT_UP = 64;
const seconds = async (act) => { const begun = performance.now(); await act(); return (performance.now() - begun) / 1000; };
const shown = (times) => times.map((time) => time.toFixed(2)).join(" ");
const middle = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];

const server = await Server.start();
try {
  const row = (i) => JSON.stringify({ prompt: `Question ${i}?`, response: "x".repeat(100) });
  const body = Array.from({ length: 300_000 }, (_, i) => row(i)).join("\n");
  const answer = await fetch(`${server.url}/api/v1/uploads?name=large.jsonl`, { method: "POST", body, headers: { "sec-fetch-site": "same-origin" } });
  const large = await answer.json();
  const data = await acts.dataset(server);
  const model = await acts.scratchModel(server, data, "20m");

  /** Launches and stops a run; the seconds until each was answered, and until the first step was there. */
  async function one() {
    const times = {};
    let run;
    const begun = performance.now();
    times.launch = await seconds(async () => (run = await acts.launch(server, { data, model, values: { max_steps: "100000" } })));
    const id = run.id ?? run;
    await until("the first step", async () => acts.steps(await server.run(id)).length > 0, 120_000, 20);
    times.step = (performance.now() - begun) / 1000;
    times.stop = await seconds(() => server.call("stop_run", { id }));
    await server.reaches(id, ["stopped"]);
    return times;
  }

  const alone = [await one(), await one(), await one()];
  let over = false, searched = 0, refused = 0;
  const search = async () => {
    const query = { start: 1, count: 1, text: "zzz", left_out: false };
    await server.call("dataset_rows", { id: large.id, query }).then(() => (searched += 1), () => (refused += 1));
  };
  const wave = Promise.all(Array.from({ length: AT_ONCE }, search));
  const kept = Array.from({ length: KEPT_UP }, async () => {
    while (!over) { await search(); await new Promise((done) => setTimeout(done, 700)); }
  });
  const beside = [await one(), await one(), await one()];
  over = true;
  await Promise.all([wave, ...kept]);
  for (const [name, times] of Object.entries({ alone, beside })) {
    for (const what of ["launch", "stop", "step"]) console.log(`${name} ${what}: ${shown(times.map((time) => time[what]))} s`);
  }
  const ratio = middle(beside.map(({ step }) => step)) / middle(alone.map(({ step }) => step));
  console.log(`searches done ${searched}, refused ${refused}; first step beside them ${ratio.toFixed(2)} of alone`);
  for (const { launch, stop } of beside) assert.ok(launch <= 1 && stop <= 1, "a launch and a stop are answered within a second");
  assert.ok(ratio <= 1.5, `the first step comes ${ratio} times later`);
} finally {
  await server.stop();
}
