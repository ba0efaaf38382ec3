// Reads just enough of a WebAssembly module to change how much memory it may have.

/** An unsigned LEB128 number and where it ends. */
function number(bytes, at) {
  for (let value = 0, shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

const written = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...written(value >>> 7)]);

/** The same module, whose memory may grow by `pages` of 64 KiB at most. */
export function cramped(module, pages) {
  for (let at = 8; at < module.length;) {
    const id = module[at];
    const [length, start] = number(module, at + 1);
    if (id === 5) {
      const [least] = number(module, start + 2);
      const section = [1, 1, ...written(least), ...written(least + pages)];
      return Buffer.concat([module.subarray(0, at), Buffer.from([5, ...written(section.length), ...section]), module.subarray(start + length)]);
    }
    at = start + length;
  }
  throw new Error("the module has no memory of its own");
}
