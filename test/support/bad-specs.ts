import { type BadRequest, posted } from "./bad-request.ts";
import { fieldPart, filePart, multipartBody } from "./multipart.ts";

/* Specs that must be refused, each with an entry that is there. */

type Row = readonly [name: string, spec: unknown, pointer: string, code?: string];

const withEntry = (fields: object) => ({ entry: "main.py", ...fields });
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const KIB = 1024;

/** A text is sent as it is, everything else as its JSON. */
const ROWS: readonly Row[] = [
  ["a spec that is not JSON", "{entry: main.py}", "/spec"],
  ["an empty spec", "", "/spec"],
  ["a spec with NaN", '{"entry":"main.py","timeout_sec":NaN}', "/spec"],
  ["a list as spec", [1, 2, 3], "/spec"],
  ["a string as spec", '"main.py"', "/spec"],
  ["null as spec", null, "/spec"],
  ["a number as spec", 42, "/spec"],
  ["a spec nested 20,000 deep", nested(20_000), "/spec"],
  ["a spec of more than 4 MiB", withEntry({ stdin: "x".repeat(4 * KIB * KIB) }), "/spec"],
  ["an unknown field", withEntry({ entyr: "x" }), "/spec/entyr"],
  ["a field called __proto__", '{"entry":"main.py","__proto__":{}}', "/spec/__proto__"],
  ["a field called constructor", withEntry({ constructor: 1 }), "/spec/constructor"],

  ["no entry", {}, "/spec/entry"],
  ["a number as entry", { entry: 1 }, "/spec/entry"],
  ["an empty entry", { entry: "" }, "/spec/entry"],
  ["an entry that is not uploaded", { entry: "other.py" }, "/spec/entry"],
  ["an absolute entry", { entry: "/main.py" }, "/spec/entry"],
  ["an entry with ..", { entry: "../main.py" }, "/spec/entry"],
  ["an entry with .. inside", { entry: "a/../main.py" }, "/spec/entry"],
  ["an entry that names a directory", { entry: "main.py/" }, "/spec/entry"],
  ["an entry that names no file", { entry: "./." }, "/spec/entry"],
  ["an entry with a NUL", { entry: "main\0.py" }, "/spec/entry"],
  ["an entry with a lone surrogate", { entry: "\ud800.py" }, "/spec/entry"],
  ["an entry nested too deep", { entry: `${"a/".repeat(32)}main.py` }, "/spec/entry"],
  ["an entry with a long component", { entry: "é".repeat(128) }, "/spec/entry"],
  ["a long entry", { entry: `${`${"a".repeat(200)}/`.repeat(6)}main.py` }, "/spec/entry"],
  ["an entry of 100 KB", { entry: "a".repeat(100 * KIB) }, "/spec/entry"],

  ["an object as args", withEntry({ args: { length: 1 } }), "/spec/args"],
  ["a string as args", withEntry({ args: "-v" }), "/spec/args"],
  ["a number among the args", withEntry({ args: ["a", 1] }), "/spec/args/1"],
  ["an arg with a NUL", withEntry({ args: ["a", "b\0c"] }), "/spec/args/1"],
  ["an arg with a lone surrogate", withEntry({ args: ["\udc00"] }), "/spec/args/0"],
  ["an arg of 128 KiB", withEntry({ args: ["x".repeat(128 * KIB)] }), "/spec/args/0"],
  ["too many args", withEntry({ args: Array.from({ length: 1025 }, () => "") }), "/spec/args"],
  [
    "args too long together",
    withEntry({ args: Array.from({ length: 11 }, () => "x".repeat(100 * KIB)) }),
    "/spec/args",
  ],
  ["args nested 100,000 deep", `{"entry":"main.py","args":${nested(100_000)}}`, "/spec/args/0"],

  ["a string as timeout_sec", withEntry({ timeout_sec: "20" }), "/spec/timeout_sec"],
  ["null as timeout_sec", withEntry({ timeout_sec: null }), "/spec/timeout_sec"],
  ["a timeout of zero", withEntry({ timeout_sec: 0 }), "/spec/timeout_sec"],
  ["a negative timeout", withEntry({ timeout_sec: -1 }), "/spec/timeout_sec"],
  ["an infinite timeout", '{"entry":"main.py","timeout_sec":1e400}', "/spec/timeout_sec"],
  ["a timeout above the ceiling", withEntry({ timeout_sec: 3601 }), "/spec/timeout_sec"],

  ["a number as runtime", withEntry({ runtime: 3 }), "/spec/runtime"],
  ["an empty runtime", withEntry({ runtime: "" }), "/spec/runtime"],
  ["a long runtime", withEntry({ runtime: "p".repeat(65) }), "/spec/runtime"],
  ["an unknown runtime", withEntry({ runtime: "cobol" }), "/spec/runtime", "unknown_runtime"],
  ["another major", withEntry({ runtime: "python2.7" }), "/spec/runtime", "unknown_runtime"],
  ["a runtime like a key", withEntry({ runtime: "__proto__" }), "/spec/runtime", "unknown_runtime"],

  ["net_policy full", withEntry({ net_policy: "full" }), "/spec/net_policy"],
  [
    "net_policy with hosts",
    withEntry({ net_policy: { allow: ["a.example"] } }),
    "/spec/net_policy",
  ],
  ["an unknown net_policy", withEntry({ net_policy: "lan" }), "/spec/net_policy"],
  ["null as net_policy", withEntry({ net_policy: null }), "/spec/net_policy"],
  ["install", withEntry({ install: true }), "/spec/install"],
  ["a string as install", withEntry({ install: "no" }), "/spec/install"],
  ["a callback", withEntry({ callback_url: "http://a.example/" }), "/spec/callback_url"],

  ["a list as env", withEntry({ env: ["A=1"] }), "/spec/env"],
  ["a number in env", withEntry({ env: { A: 1 } }), "/spec/env/A"],
  ["an env name with =", withEntry({ env: { "A=B": "1" } }), "/spec/env/A=B"],
  ["an env name with a slash", withEntry({ env: { "a/b~c": "1" } }), "/spec/env/a~1b~0c"],
  ["an empty env name", withEntry({ env: { "": "1" } }), "/spec/env/"],
  ["an env name that begins with a digit", withEntry({ env: { "1A": "1" } }), "/spec/env/1A"],
  ["a NUL in an env name", withEntry({ env: { "A\0": "1" } }), "/spec/env/A\0"],
  ["a NUL in an env value", withEntry({ env: { A: "1\0" } }), "/spec/env/A"],
  ["a lone surrogate in env", withEntry({ env: { A: "\ud83d" } }), "/spec/env/A"],
  [
    "an object as env.__proto__",
    '{"entry":"main.py","env":{"__proto__":{}}}',
    "/spec/env/__proto__",
  ],

  ["a number as stdin", withEntry({ stdin: 1 }), "/spec/stdin"],
  ["more than 1 MiB of stdin", withEntry({ stdin: "x".repeat(KIB * KIB + 1) }), "/spec/stdin"],
  ["stdin with a lone surrogate", withEntry({ stdin: "\ud800" }), "/spec/stdin"],

  ["a list as limits", withEntry({ limits: [] }), "/spec/limits"],
  ["an unknown limit", withEntry({ limits: { ram: 1 } }), "/spec/limits/ram"],
  [
    "a limit called constructor",
    withEntry({ limits: { constructor: 1 } }),
    "/spec/limits/constructor",
  ],
  ["zero memory", withEntry({ limits: { memory_mb: 0 } }), "/spec/limits/memory_mb"],
  ["half a MiB of memory", withEntry({ limits: { memory_mb: 1.5 } }), "/spec/limits/memory_mb"],
  [
    "memory above the ceiling",
    withEntry({ limits: { memory_mb: 4097 } }),
    "/spec/limits/memory_mb",
  ],
  ["negative CPU time", withEntry({ limits: { cpu_sec: -1 } }), "/spec/limits/cpu_sec"],
  ["a string as processes", withEntry({ limits: { processes: "64" } }), "/spec/limits/processes"],
  ["true as disk", withEntry({ limits: { disk_mb: true } }), "/spec/limits/disk_mb"],
  ["disk above the ceiling", withEntry({ limits: { disk_mb: 1e9 } }), "/spec/limits/disk_mb"],
  ["output above the ceiling", withEntry({ limits: { output_mb: 257 } }), "/spec/limits/output_mb"],

  ["a number as priority", withEntry({ priority: 5 }), "/spec/priority"],
  ["an unknown priority", withEntry({ priority: "urgent" }), "/spec/priority"],
  ["a number in labels", withEntry({ labels: { a: 1 } }), "/spec/labels/a"],
  ["a label without a name", withEntry({ labels: { "": "x" } }), "/spec/labels/"],
  ["a NUL in a label", withEntry({ labels: { "a/b": "x\0" } }), "/spec/labels/a~1b"],
  ["a long label", withEntry({ labels: { a: "x".repeat(257) } }), "/spec/labels/a"],
  [
    "too many labels",
    withEntry({ labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`l${n}`, ""])) }),
    "/spec/labels",
  ],
];

export const BAD_SPECS: readonly BadRequest[] = ROWS.map(([name, spec, pointer, code]) => {
  const text = typeof spec === "string" ? spec : JSON.stringify(spec);
  return {
    name,
    send: posted(multipartBody(fieldPart("spec", text), filePart("code_files", "main.py"))),
    status: 422,
    code: code ?? "invalid_spec",
    pointer,
  };
});
