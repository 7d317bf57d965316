"use strict";
/*
 * Has a started node, or bun, wait for its job as waiting.pl says, before it looks at the program that it was started with.
 * Loaded by it ahead of that program; in a worker thread of a program, where it is loaded again, it does nothing. Plain
 * JavaScript for any version of node, which no linter of this project looks at.
 */
const channel = Number(process.env.JOB_RUNNER_WAIT);
if (channel > 0) {
  const fs = require("node:fs");
  for (const name of Object.keys(process.env)) delete process.env[name];
  delete require.cache[__filename];
  fs.writeSync(channel, typeof Bun === "undefined" ? "e" : "w");
  const parts = [];
  for (;;) {
    const part = Buffer.alloc(65536);
    const length = fs.readSync(channel, part, 0, part.length, null);
    if (length === 0) break;
    parts.push(part.subarray(0, length));
  }
  fs.closeSync(channel);
  if (parts.length === 0) process.kill(process.pid, "SIGKILL");
  const [count, ...fields] = Buffer.concat(parts).toString().split("\0");
  // Its program is among its arguments already.
  process.argv.push(...fields.slice(2, Number(count)));
  for (const variable of fields.slice(Number(count))) {
    const at = variable.indexOf("=");
    process.env[variable.slice(0, at)] = variable.slice(at + 1);
  }
}
