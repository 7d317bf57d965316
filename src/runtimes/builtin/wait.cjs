"use strict";
/*
 * Has a started node wait for its job as waiting.pl says, before it looks at the program that it was started with. Loaded by
 * it ahead of that program; in a worker thread of a program, where it is loaded again, it does nothing. Plain JavaScript for
 * any version of node, which no linter of this project looks at.
 */
const fs = require("node:fs");

/** The descriptor to wait on, or null. A job may have a variable of that name too, but then nothing is to be waited for. */
function findChannel() {
  const channel = Number(process.env.JOB_RUNNER_WAIT);
  try {
    return require("node:worker_threads").isMainThread && fs.fstatSync(channel).isSocket()
      ? channel
      : null;
  } catch {
    return null;
  }
}

function waitForJob(channel) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  fs.writeSync(channel, "w");
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

/** No program shall find this file among its modules. */
function leaveNoTrace() {
  const { _pathCache: foundPaths = {} } = require("node:module");
  for (const key of Object.keys(foundPaths))
    if (foundPaths[key] === __filename) delete foundPaths[key];
  delete require.cache[__filename];
  if (process._preload_modules) process._preload_modules.length = 0;
}

const channel = findChannel();
if (channel !== null) waitForJob(channel);
leaveNoTrace();
