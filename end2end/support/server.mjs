// Starts the real server with a data folder of its own on a free port, and the real worker behind it.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const needed = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run the stories with make e2e`);
  return value;
};

async function freePort() {
  const probe = createServer();
  await new Promise((done, fail) => probe.once("error", fail).listen(0, "127.0.0.1", done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Thrown by a check that will never come true: waiting longer is of no use. */
export class Hopeless extends Error {}

/** Polls `check` until it returns something truthy; fails with `what` after `ms`. */
export async function until(what, check, ms = 60_000, every = 150) {
  const end = Date.now() + ms;
  for (let last; ; await sleep(every)) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s in vain for: ${what}${last ? ` (${last.message})` : ""}`);
  }
}

/** Every living process of the worker binary, with its parent and the words of its command line. */
async function workers() {
  const found = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    const [state, parent] = stat.split(") ").at(-1).split(" ");
    if (state !== "Z" && words[0].endsWith("burnish-worker")) found.push({ pid: Number(pid), parent: Number(parent), words });
  }
  return found;
}

/** Those that work for this data folder. */
const workersOf = async (dataDir) => (await workers()).filter(({ words }) => words.some((word) => word.includes(dataDir)));

export class Server {
  #child;
  log = "";

  /** `site` is a folder with a browser side of its own. */
  static async start({ starter = false, site = needed("BURNISH_SITE") } = {}) {
    const server = new Server();
    server.dataDir = await mkdtemp(join(tmpdir(), "burnish-e2e-"));
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    server.starter = starter;
    server.site = site;
    await server.up();
    return server;
  }

  /** Starts the process (again) on the same port and data. */
  async up() {
    const env = { ...process.env, BURNISH_WORKER: needed("BURNISH_WORKER"), RUST_LOG: process.env.RUST_LOG ?? "info" };
    if (!this.starter) delete env.BURNISH_STARTER;
    const args = ["serve", "--data-dir", this.dataDir, "--site-root", this.site, "--listen", `127.0.0.1:${this.port}`];
    this.#child = spawn(needed("BURNISH_BIN"), args, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const pipe of [this.#child.stdout, this.#child.stderr]) pipe.on("data", (chunk) => (this.log += chunk));
    const child = this.#child;
    await until("the server to answer", async () => {
      if (child.exitCode !== null) throw new Hopeless(`the server ended with ${child.exitCode}:\n${this.log}`);
      return (await fetch(`${this.url}/healthz`)).ok;
    }, 20_000);
  }

  /** Its process. */
  get pid() {
    return this.#child.pid;
  }

  async #end(signal) {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await ended;
  }

  /** As if the machine's owner pulled the plug on the server alone. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** Ends everything this server started and removes its data. */
  async stop() {
    await this.#end("SIGKILL");
    for (const { pid } of await workersOf(this.dataDir)) {
      try { process.kill(pid, "SIGKILL"); } catch { /* it ended by itself */ }
    }
    await sleep(50);
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  /** The worker processes that train right now. */
  async trainers() {
    return (await workersOf(this.dataDir)).filter(({ words }) => words.includes("train"));
  }

  /** Worker processes this server started as its own children for a command. */
  async workers(command) {
    return (await workers()).filter(({ parent, words }) => parent === this.#child.pid && words[1] === command);
  }

  /** Calls a server function as a page does. */
  async call(name, body = {}) {
    const answer = await fetch(`${this.url}/api/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", origin: this.url, "sec-fetch-site": "same-origin" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  run(id) {
    return this.call("get_run", { id });
  }

  /** Waits until a run is in one of the states. */
  reaches(id, states, ms = 120_000) {
    return until(`run ${id} to be ${states.join(" or ")}`, async () => {
      const view = await this.run(id);
      if (view.summary.state === "failed" && !states.includes("failed")) throw new Hopeless(`run ${id} failed: ${JSON.stringify(view.problem)}`);
      return states.includes(view.summary.state) && view;
    }, ms);
  }
}
