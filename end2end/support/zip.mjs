// Unpacks a zip into a folder and hands a folder out as a plain static file server does.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { inflateRawSync } from "node:zlib";

export function unpack(zip, folder) {
  const bytes = readFileSync(zip);
  const end = bytes.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let at = bytes.readUInt32LE(end + 16);
  const names = [];
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [method, packed] = [bytes.readUInt16LE(at + 10), bytes.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map((place) => bytes.readUInt16LE(at + place));
    const file = bytes.toString("utf8", at + 46, at + 46 + name);
    const local = bytes.readUInt32LE(at + 42);
    const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const content = bytes.subarray(from, from + packed);
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, method === 8 ? inflateRawSync(content) : content);
    names.push(file);
    at += 46 + name + extra + comment;
  }
  return names;
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };

/** A server of files and nothing else, `[prefix, folder]` each; gives its address and a way to end it. */
export async function staticServer(folders) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://x").pathname).replace(/\/$/, "/index.html");
    const [prefix, folder] = folders.find(([prefix]) => path.startsWith(prefix)) ?? ["/", "/nowhere"];
    try {
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
      response.end(await readFile(join(folder, path.slice(prefix.length))));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
