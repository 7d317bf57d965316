import { programsOf } from "./warm-program.ts";

const node = programsOf("main.js");
const python = programsOf("main.py");

/** A fresh node tries to have so many threads; with fewer than six it waits for ever for one that it could not start. */
const NODE_THREADS = 7;
const NODE_MIN_THREADS = 6;
/** Below so many a job's node is a fresh one (runtimes/builtin/javascript.ts). */
const NODE_WAITING_THREADS = 10;
const UP_TO_16 = Array.from({ length: 16 }, (_, index) => index + 1);

/** Programs that may have no more processes and threads than this, and try. */
export const fewProcesses = UP_TO_16.flatMap((processes) => {
  const spec = { limits: { processes } };
  const doesNodeRun = processes >= NODE_MIN_THREADS;
  return [
    node(
      `${processes} processes`,
      doesNodeRun ? `${Math.min(processes, NODE_THREADS)} threads` : "",
      `const fs = require("fs"), { spawnSync } = require("child_process");
console.log(/^Threads:\\s+(\\d+)/m.exec(fs.readFileSync("/proc/self/status", "utf8"))[1], "threads");
console.log(spawnSync("/bin/true").error?.code ?? "and a child");
fs.promises.readFile(__filename).then(({ length }) => console.log("read", length));`,
      {
        spec: doesNodeRun ? spec : { ...spec, timeout_sec: 2 },
        on: processes < NODE_WAITING_THREADS ? "sandbox" : "interpreter",
      },
    ),
    python(
      `${processes} processes`,
      `${processes} threads`,
      `import subprocess, threading
end = threading.Event()
threads = 1
try:
    while threads < 32:
        threading.Thread(target=end.wait).start()
        threads += 1
except RuntimeError as error: print(error)
print(threads, "threads")
try: subprocess.run("/bin/true")
except OSError as error: print(error)
end.set()`,
      { spec },
    ),
  ];
});
