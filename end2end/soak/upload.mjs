// A large upload takes no memory, is fast, and goes on after its connection broke (R13): GIB (2) gibibytes with 20 broken
// connections, then three at a time. Prints what it measured; fails beyond its bars.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { Server } from "../support/server.mjs";

const PART = 8 << 20, GIB = Number(process.env.GIB ?? 2) * 2 ** 30;
const part = randomBytes(PART);

const server = await Server.start();
const pid = server.pid;
const memory = async () => Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
const tus = (method, path, headers) => fetch(server.url + path, { method, headers: { "tus-resumable": "1.0.0", ...headers } });

/** Sends a part from `at`; `until` bytes of it where the connection is to break there. */
function send(path, at, until) {
  return new Promise((done, fail) => {
    const headers = { "upload-offset": at, "content-type": "application/offset+octet-stream", "content-length": PART };
    const sent = request(server.url + path, { method: "PATCH", headers }, (answer) => {
      answer.resume();
      answer.on("end", () => (answer.statusCode === 204 ? done() : fail(new Error(`status ${answer.statusCode}`))));
    });
    sent.on("error", (why) => (until === undefined ? fail(why) : done()));
    if (until === undefined) return sent.end(part);
    sent.write(part.subarray(0, until), () => sent.destroy());
  });
}

async function upload(bytes, breaks) {
  const length = Math.ceil(bytes / PART) * PART;
  const made = await tus("POST", "/api/v1/resumable", { "upload-length": length });
  assert.equal(made.status, 201);
  const path = made.headers.get("location");
  let at = 0, broken = 0, twice = 0;
  while (at < length) {
    if (broken < breaks && at >= (broken + 1) * length / (breaks + 2)) {
      // where the part would go beyond the end, or begin within one: offsets are those of bytes
      const until = 1 + ((broken * 7919 * 1021) % (PART - 1));
      if (at + PART > length) break;
      await send(path, at, until);
      let now, answer;
      // what the broken connection had sent may still be on its way: then the server says where it stands
      do {
        now = Number((await tus("HEAD", path, {})).headers.get("upload-offset"));
        // the rest of that part, so that the next begins where a part does
        const rest = { "upload-offset": now, "content-type": "application/offset+octet-stream" };
        answer = await fetch(server.url + path, { method: "PATCH", body: part.subarray(now - at), headers: rest });
      } while (answer.status === 409);
      assert.equal(answer.status, 204);
      assert.ok(now >= at && now <= at + until);
      twice += at + until - now;
      at += PART;
      broken += 1;
      continue;
    }
    await send(path, at);
    at += PART;
  }
  assert.equal((await tus("HEAD", path, {})).headers.get("upload-offset"), String(length));
  assert.equal((await tus("DELETE", path, {})).status, 204);
  return { broken, twice };
}

try {
  const before = await memory();
  let begun = performance.now();
  const { broken, twice } = await upload(GIB, 20);
  const speed = GIB / 1e6 / ((performance.now() - begun) / 1000);
  console.log(`${GIB / 2 ** 30} GiB: ${speed.toFixed(0)} MB/s, ${broken} broken connections, ${twice} bytes sent twice`);
  begun = performance.now();
  await Promise.all([upload(GIB / 4, 5), upload(GIB / 4, 5), upload(GIB / 4, 5)]);
  console.log(`three at a time: ${((3 * GIB) / 4e6 / ((performance.now() - begun) / 1000)).toFixed(0)} MB/s together`);
  const grown = (await memory()) - before;
  console.log(`memory of the server grew by ${grown.toFixed(1)} MiB`);
  assert.equal(broken, 20);
  assert.ok(twice <= 20 * PART && grown <= 64, "at most a part is sent twice, in 64 MiB");
} finally {
  await server.stop();
}
