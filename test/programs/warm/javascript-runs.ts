import { programsOf } from "./warm-program.ts";

const node = programsOf("main.js");
const esm = programsOf("main.mjs");

/** What a program of node has about it and does, and how it ends. */
export const javascriptRuns = [
  node(
    "its process",
    "SigIgn",
    `const fs = require("fs"), { execSync } = require("child_process");
const status = fs.readFileSync("/proc/self/status", "utf8").split("\\n");
console.log(status.filter((line) => /^(Name|Umask|Sig|Cap|NoNewPrivs|Seccomp|NSpid|Uid)/.test(line)).join("\\n"));
console.log(fs.readFileSync("/proc/self/limits", "utf8"), fs.readFileSync("/proc/self/oom_score_adj", "utf8"));
console.log(execSync("ulimit -n; ulimit -Hn; ulimit -a; env | sort; cat /proc/self/oom_score_adj").toString());
console.log(fs.readFileSync("/proc/self/cmdline", "utf8"), fs.readFileSync("/proc/self/environ", "utf8").split("\\0").filter(Boolean).sort());
console.log(process.getuid(), process.umask(), process.stdin.isTTY, process.stdout.isTTY, process.hrtime.bigint() > 0n, process.allowedNodeEnvironmentFlags.size);
console.log(process.memoryUsage().rss > 0, require("os").homedir(), require("os").tmpdir(), process.features, process.config.variables.napi_build_version);`,
    {
      spec: { env: { GREETING: "zwölf €", EMPTY: "", LINES: "a\nb" } },
    },
  ),
  node(
    "its open files",
    "socket:",
    `const fs = require("fs");
console.log("no socket:");
for (const fd of fs.readdirSync("/proc/self/fd").map(Number).sort((a, b) => a - b))
  try { console.log(fd, fs.readlinkSync("/proc/self/fd/" + fd).replace(/\\d{3,}/, "N")) } catch { console.log(fd, "the listing") }`,
  ),
  node(
    "its handles",
    "[]",
    `console.log([], process.getActiveResourcesInfo(), process._getActiveHandles().length, process._getActiveRequests().length);
console.log(process.eventNames(), process.listeners("exit").length, process.listenerCount("SIGINT"), process.report.excludeNetwork, require("async_hooks").executionAsyncId());
console.log(Object.getOwnPropertyNames(globalThis).sort().join(), require("module").builtinModules.length, Object.keys(require("module")._pathCache));
console.log(Error.stackTraceLimit, new Error("here").stack, new Error().stack.split("\\n").length)`,
  ),
  node(
    "stdin by events",
    "got zwölf",
    `let text = "";
process.stdin.setEncoding("utf8").on("data", (chunk) => { text += chunk }).on("end", () => console.log("got", text, process.stdin.constructor.name));`,
    {
      spec: { stdin: "zwölf\nlines" },
    },
  ),
  node(
    "stdin at once",
    "got zwölf",
    `console.log("got", require("fs").readFileSync(0, "utf8"), require("fs").readFileSync("/dev/stdin", "utf8"));
require("readline").createInterface({ input: process.stdin }).on("line", (line) => console.log("line", line)).on("close", () => console.log("closed"))`,
    {
      spec: { stdin: "zwölf\nlines" },
    },
  ),
  node(
    "no stdin",
    "end",
    `process.stdin.on("data", console.log).on("end", () => console.log("end"))`,
  ),
  node(
    "an error",
    "Error: zwölf",
    `function inner() { throw new Error("zwölf", { cause: new TypeError("why") }) }
console.log("before");
inner()`,
  ),
  node(
    "an error that is none",
    "Uncaught",
    `process.on("exit", (code) => console.log("exit", code)); throw { Uncaught: 1 }`,
  ),
  node("a syntax error", "SyntaxError", "console.log(1;\n"),
  esm("a syntax error", "SyntaxError", "console.log(1;\n"),
  esm(
    "a name that is not exported",
    "does not provide an export",
    `import { nothing } from "node:fs"`,
  ),
  esm("a module that is not there", "ERR_MODULE_NOT_FOUND", `import "./none.mjs"`),
  esm(
    "an error",
    "Error: in a module",
    `const f = async () => { await null; throw new Error("in a module") };\nawait f()`,
  ),
  esm("an await without end", "waiting", `console.log("waiting"); await new Promise(() => {})`),
  node(
    "a rejection that nobody handles",
    "Error: rejected",
    `Promise.reject(new Error("rejected")); setTimeout(() => console.log("never"), 100)`,
  ),
  node(
    "exits",
    "exit 7",
    `process.on("exit", (code) => { console.log("exit", code) });
process.on("beforeExit", () => console.log("beforeExit"));
process.exitCode = 7`,
  ),
  node("a sudden exit", "last", `process.stdout.write("last"); process.exit(300)`),
  node("an abort", "before", `console.log("before"); process.abort()`),
  ...["SIGTERM", "SIGINT", "SIGKILL", "SIGSEGV", "SIGPIPE", "SIGXFSZ", "SIGHUP"].map((signal) =>
    node(
      `${signal} to itself`,
      "before",
      `console.log("before"); process.kill(process.pid, "${signal}"); setTimeout(() => console.log("after"), 20)`,
    ),
  ),
  node(
    "signals that it handles",
    "handled SIGTERM",
    `process.once("SIGTERM", (name) => { console.log("handled", name); clearInterval(timer) });
const timer = setInterval(() => {}, 1000);
process.kill(process.pid, "SIGTERM")`,
  ),
  node(
    "timers in their order",
    "tick",
    `process.nextTick(() => console.log("tick")); queueMicrotask(() => console.log("microtask"));
require("fs").stat(".", () => { setTimeout(() => console.log("timeout"), 0); setImmediate(() => console.log("immediate")) });
const begin = Date.now(); setTimeout(() => console.log(Date.now() - begin >= 299), 300);
console.log("now")`,
  ),
  node(
    "workers",
    "worker 42",
    `const { Worker, isMainThread, parentPort, workerData, threadId } = require("worker_threads");
if (isMainThread) {
  const run = (options) => new Promise((resolve) => new Worker(__filename, { workerData: 42, ...options }).on("message", console.log).on("exit", resolve).on("error", (e) => console.log(String(e))));
  run({}).then(() => run({ argv: ["x"], env: { ONLY: "this" } })).then(() => run({ env: { JOB_RUNNER_WAIT: "1" } })).then((code) => console.log("ended", code));
} else parentPort.postMessage(["worker " + workerData, threadId, process.argv, process.execArgv, Object.keys(process.env).sort(), Object.keys(require.cache), process._preload_modules, require.main === module]);`,
  ),
  node(
    "processes",
    "child [ 'x' ]",
    `const { fork, spawnSync, execFileSync } = require("child_process");
if (process.argv[2] === "x") {
  console.log("child", process.argv.slice(2), process.execArgv, Object.keys(process.env).sort(), Object.keys(require.cache));
  process.send(["sent", process.argv, process.env.NODE_OPTIONS]);
  process.disconnect();
} else fork(__filename, ["x"]).on("message", console.log).on("exit", (code) => {
  console.log(code, spawnSync(process.execPath, ["-p", "[process.argv, process.execArgv, Object.keys(process.env).sort()]"]).stdout.toString().replace(/\\n/g, " ").split(" ").sort().join(" "));
  console.log(execFileSync("cat", ["/proc/self/cmdline"]).toString(), spawnSync("sh", ["-c", "kill -TERM $$"]).signal);
});`,
  ),
  node(
    "a cluster",
    "worker 1",
    `const cluster = require("cluster");
if (cluster.isPrimary) { cluster.fork().on("exit", (code) => console.log("ended", code)) } else { console.log("worker", cluster.worker.id, process.argv); process.exit(4) }`,
  ),
  node(
    "much output",
    "x 29999",
    `for (let n = 0; n < 30000; n++) console.log("x", n); process.stderr.write("y".repeat(300000)); process.exitCode = 2`,
  ),
  node(
    "both streams in turn",
    "out 9",
    `for (let n = 0; n < 10; n++) { console.log("out", n); console.error("err", n) } process.stdout.write("end"); process.emitWarning("warned"); console.trace("here")`,
  ),
  node(
    "source maps and stacks",
    "main.js:1",
    `console.log(new Error("main.js:1").stack); process.on("uncaughtException", (error, origin) => console.log(error.stack, origin)); null.x`,
  ),
  node(
    "files that it makes",
    "made",
    `const fs = require("fs"); fs.mkdirSync("a/b", { recursive: true }); fs.writeFileSync("a/b/c.txt", "made"); fs.appendFileSync("data.txt", "!");
console.log("made", fs.readdirSync(".", { recursive: true }).sort(), fs.statSync("a/b/c.txt").mode.toString(8))`,
    { files: { "data.txt": "given" } },
  ),
  node(
    "the title",
    "node",
    `console.log(process.title, require("fs").readFileSync("/proc/self/comm", "utf8")); process.title = "renamed"; console.log(process.title, require("fs").readFileSync("/proc/self/comm", "utf8"))`,
  ),
  node(
    "asking in turn",
    "prompt",
    `const rl = require("readline/promises").createInterface({ input: process.stdin, output: process.stdout });
rl.question("prompt ").then((answer) => { console.log(answer); rl.close() })`,
    { spec: { stdin: "answer\nmore" } },
  ),
  node(
    "vm, wasm and crypto",
    "wasm 8",
    `console.log(require("vm").runInNewContext("1 + x", { x: 2 }), require("crypto").createHash("sha256").update("x").digest("hex"), require("crypto").getCiphers().length);
console.log("wasm", new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) && 8, Intl.DateTimeFormat().resolvedOptions(), (1e6).toLocaleString(), require("crypto").getFips())`,
  ),
  ...Object.entries({
    NODE_OPTIONS: "--no-warnings",
    NODE_ENV: "production",
    NODE_PATH: "/work/lib",
    NODE_DEBUG: "module",
    UV_THREADPOOL_SIZE: "1",
    TZ: "Asia/Tokyo",
    LC_ALL: "de_DE.UTF-8",
    LANG: "C",
  }).map(([name, value]) =>
    node(
      `the variable ${name}`,
      name,
      `console.log("${name}", process.env.${name}, new Date(0).toString(), (1e6).toLocaleString()); process.emitWarning("warned");
try { console.log(require("helper")) } catch (error) { console.log(error.code) }`,
      {
        spec: { env: { [name]: value } },
        files: { "lib/helper.js": "module.exports = 1" },
        on: "sandbox",
      },
    ),
  ),
  ...Object.entries({
    PATH: "/usr/bin",
    TERM: "dumb",
    NO_COLOR: "1",
    FORCE_COLOR: "1",
    DEBUG: "*",
    TMPDIR: "/work",
    JOB_RUNNER_WAIT: "1",
    COLUMNS: "20",
  }).map(([name, value]) =>
    node(
      `the variable ${name}`,
      name,
      `console.log("${name}", process.env.${name}, { a: [1, "x"] }, require("os").tmpdir(), process.stdout.getColorDepth?.(), require("tty").WriteStream.prototype.getColorDepth(process.env), require("util").inspect([1], { colors: true }));
console.table([{ a: 1 }]); new (require("worker_threads").Worker)("console.log(Object.keys(process.env).sort())", { eval: true }); console.error(new Error("x"))`,
      { spec: { env: { [name]: value } } },
    ),
  ),
];
