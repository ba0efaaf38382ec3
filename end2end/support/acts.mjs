// What several stories do: data and models through the server's own interfaces, so that each story clicks only its own part.
import { readFile } from "node:fs/promises";
import { Hopeless, until } from "./server.mjs";

const sample = (name) => new URL(`../../public/samples/${name}`, import.meta.url);

/** Uploads a dataset, a sample or one of a story's own, and returns its view. */
export async function dataset(server, name = "everyday-en-zh.jsonl", own = undefined) {
  const body = own ?? (await readFile(sample(name)));
  const answer = await fetch(`${server.url}/api/v1/uploads?kind=dataset&name=${encodeURIComponent(name)}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", origin: server.url, "sec-fetch-site": "same-origin" },
    body,
  });
  if (!answer.ok) throw new Error(`uploading ${name}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Makes a from-scratch model on a dataset's vocabulary and waits until it is ready. */
export async function scratchModel(server, data, size = "1m") {
  const { id } = await server.call("create_model", { new: { from: "scratch", name: `Little ${size}`, size, dataset: data.id } });
  return until("the model to be ready", async () => {
    const model = (await server.call("list_models")).find((one) => one.id === id);
    if (model.state === "failed") throw new Hopeless(JSON.stringify(model.problem));
    return model.state === "ready" && model;
  }, 120_000);
}

/** Launches a run and returns its id. `values` are hyperparameters as typed. */
export function launch(server, { data, model, tuning = "full", name = "A run", values = {} }) {
  const draft = { name, dataset: data.id, model: model.id, template: "model", system: "", stage: "sft", tuning, values };
  return server.call("launch_run", { draft });
}

/** What a run's events tell of its steps, in order; of one attempt or of all. */
const told = (view, attempt) =>
  view.events.filter((one) => attempt === undefined || one.attempt === attempt).map(({ event }) => event.what).filter(({ kind }) => kind === "step");

/** The numbers of its steps. */
export const steps = (view, attempt) => told(view, attempt).map(({ step }) => step);

/** The train loss of each step. */
export const losses = (view) => told(view).map(({ loss }) => loss);

export const upTo = (last, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** How many steps the curve of an open run page shows, by its summary in words. */
export async function drawn(page) {
  const text = await page.locator("#chart-summary").textContent();
  return Number(text.match(/([\d,]+) steps drawn/)?.[1].replaceAll(",", "") ?? 0);
}
