import { expect } from "bun:test";

import { bash, noOom, printedJust, python, type Theme, WALL_LIMIT } from "./hostile-program.ts";

/** Of a job with `processes: 16`: its program is one of them. */
const SIXTEEN = { limits: { processes: 16, cpu_sec: 60 } };
const PROCESS_LIMIT = { status: "failed", reason: "process_limit" };
const CPU_LIMIT = { status: "timed_out", reason: "cpu_limit" };
const SHORT_WALL_MS = 3_000;

export const processes: Theme = {
  title: "Processes and CPU time",
  entries: [
    bash({
      name: "fork bomb",
      tries: "Forks without end, each process forking on.",
      safeOutcome: "No process beyond `processes` is made; the job ends with all of them.",
      source: "b() { b | b & b; }; echo lit; b",
      spec: { timeout_sec: 2, ...SIXTEEN },
      expect(ended) {
        expect(ended.printed).toStartWith("lit\n");
        expect(["process_limit", "wall_limit"]).toContain(ended.reason!);
      },
    }),
    python({
      name: "fork bomb in sessions of its own",
      tries: "Forks without end, each process in a new session and deaf to signals, and leaves.",
      safeOutcome: "The program's end is the job's end: every process is killed with it.",
      source: `
import os, signal, time
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP): signal.signal(number, signal.SIG_IGN)
print("lit", flush=True)
if os.fork() == 0:
    while True:
        try: os.fork()
        except OSError: time.sleep(0.01)
        try: os.setsid()
        except OSError: pass
time.sleep(0.5)
print("left", flush=True)
`,
      spec: SIXTEEN,
      expect: printedJust("lit\nleft\n"),
    }),
    python({
      name: "more processes than allowed",
      tries: "Starts children until it may not, and fails.",
      safeOutcome: "The job failed with `process_limit`.",
      source: `
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except BlockingIOError:
    print("made", made, flush=True)
    time.sleep(1)
    raise SystemExit(1)
`,
      spec: SIXTEEN,
      expect(ended) {
        expect(ended).toMatchObject({ ...PROCESS_LIMIT, exit_code: 1 });
        const made = Number(/^made (\d+)\n$/.exec(ended.printed)?.[1]);
        expect(made).toBeGreaterThanOrEqual(12);
        expect(made).toBeLessThanOrEqual(16);
      },
    }),
    python({
      name: "more threads than allowed",
      tries: "Starts threads until it may not, and fails.",
      safeOutcome: "Threads count as processes: the job failed with `process_limit`.",
      source: `
import threading, time
threading.stack_size(65_536)
made = 0
try:
    while made < 100:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        made += 1
except RuntimeError:
    print("made", made, flush=True)
    time.sleep(1)
    raise SystemExit(1)
`,
      spec: { limits: { processes: 16, memory_mb: 4096 } },
      expect(ended) {
        expect(ended).toMatchObject({ ...PROCESS_LIMIT, exit_code: 1 });
        const made = Number(/^made (\d+)\n$/.exec(ended.printed)?.[1]);
        expect(made).toBeGreaterThanOrEqual(12);
        expect(made).toBeLessThanOrEqual(16);
      },
    }),
    python({
      name: "a process limit that is minded",
      tries: "Meets the limit of processes, and copes.",
      safeOutcome: "The job succeeded: meeting a limit is no failure by itself.",
      source: `
import os, time
children = []
try:
    while len(children) < 100:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        children.append(pid)
except BlockingIOError:
    print("met it", flush=True)
for pid in children: os.kill(pid, 9)
for pid in children: os.waitpid(pid, 0)
`,
      spec: SIXTEEN,
      expect: printedJust("met it\n"),
    }),
    python({
      name: "a flood of zombies",
      tries: "Ends children without reaping them, until no more can be made.",
      safeOutcome: "Zombies count as processes; they go with the job.",
      source: `
import os
made = 0
try:
    while made < 1000:
        if os.fork() == 0: os._exit(0)
        made += 1
except BlockingIOError:
    print("full", made <= 16)
`,
      spec: SIXTEEN,
      expect: printedJust("full True\n"),
    }),
    python({
      name: "CPU burnt by children",
      tries: "Spins in four children, each below the CPU limit of a single process.",
      safeOutcome: "CPU time is the job's as a whole: timed out with `cpu_limit`.",
      source: `
import os
for _ in range(4):
    if os.fork() == 0:
        while True: pass
print("spinning", flush=True)
while True: os.wait()
`,
      spec: { limits: { cpu_sec: 2 } },
      expect(ended) {
        expect(ended).toMatchObject({ ...CPU_LIMIT, printed: "spinning\n" });
        expect(ended.usage!.cpu_ms).toBeGreaterThanOrEqual(1_800);
        expect(ended.usage!.cpu_ms).toBeLessThan(4_000);
      },
    }),
    python({
      name: "CPU burnt by children that come and go",
      tries: "Spins in child after child, each gone before a limit of its own could end it.",
      safeOutcome: "What the dead have used counts too: timed out with `cpu_limit`.",
      source: `
import os, time
while True:
    pid = os.fork()
    if pid == 0:
        while time.process_time() < 0.2: pass
        os._exit(0)
    os.waitpid(pid, 0)
`,
      spec: { limits: { cpu_sec: 1 } },
      expect(ended) {
        expect(ended).toMatchObject(CPU_LIMIT);
        expect(ended.usage!.cpu_ms).toBeLessThan(3_000);
      },
    }),
    bash({
      name: "deaf to the CPU limit",
      tries: "Ignores the signal that tells it of its CPU limit, and spins on.",
      safeOutcome: "It is killed: timed out with `cpu_limit`.",
      source: "trap '' XCPU TERM INT; while :; do :; done",
      spec: { limits: { cpu_sec: 1 } },
      expect(ended) {
        expect(ended).toMatchObject(CPU_LIMIT);
        expect(ended.usage!.cpu_ms).toBeLessThan(3_500);
      },
    }),
    bash({
      name: "an endless chain of exec",
      tries: "Replaces itself with itself for ever.",
      safeOutcome: "The clock is the job's, not a process's: timed out with `wall_limit`.",
      source: 'exec "$BASH" main.sh',
      spec: { timeout_sec: 1 },
      expect: (ended) => expect(ended).toMatchObject(WALL_LIMIT),
    }),
    python({
      name: "a daemon",
      tries: "Forks twice, leaves its session, and would run on after the job.",
      safeOutcome: "It is dead before the job counts as ended.",
      source: `
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print("daemon is up", flush=True)
`,
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded", printed: "daemon is up\n" });
        expect(ended.usage!.wall_ms).toBeLessThan(SHORT_WALL_MS);
      },
    }),
    bash({
      name: "a grandchild that holds stdout",
      tries: "Leaves a process behind that keeps its output open.",
      safeOutcome: "The job ends with its program, and so does its stream.",
      source: "(sleep 600 & sleep 600 &) ; echo done; exit 3",
      expect(ended) {
        expect(ended).toMatchObject({ reason: "exit_code", exit_code: 3, printed: "done\n" });
        expect(ended.usage!.wall_ms).toBeLessThan(SHORT_WALL_MS);
      },
    }),
    python({
      name: "a better place in the queue of the CPU",
      tries: "Asks for real-time scheduling and a negative nice value.",
      safeOutcome: "Both are refused.",
      source: `
import os
for act in (lambda: os.nice(-20), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))):
    try: act()
    except PermissionError: print("refused")
`,
      expect: printedJust("refused\nrefused\n"),
    }),
    python({
      name: "limits raised again",
      tries: "Raises the limits that were put on it.",
      safeOutcome: "A hard limit only goes down: refused.",
      source: `
import resource as r
for what in (r.RLIMIT_NPROC, r.RLIMIT_NOFILE, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_CORE):
    try: r.setrlimit(what, (1 << 30, 1 << 30))
    except (PermissionError, ValueError): print("refused")
`,
      expect: printedJust("refused\n".repeat(5)),
    }),
    python({
      name: "limits on its supervisor",
      tries: "Sets the limits of its supervisor to nothing: no CPU time, no memory, no descriptor.",
      safeOutcome: "The supervisor keeps its limits: the job's end is told and its files come out.",
      source: `
import os, resource as r
open("kept.txt", "w").write("kept")
for name in ("NOFILE", "FSIZE", "AS", "DATA", "STACK", "NPROC", "CPU"):
    try: r.prlimit(1, getattr(r, "RLIMIT_" + name), (0, 0))
    except (PermissionError, ValueError): pass
raise SystemExit(3)
`,
      expect(ended) {
        expect(ended).toMatchObject({ reason: "exit_code", exit_code: 3 });
        expect(ended.artifacts.map(({ name }) => name)).toEqual(["kept.txt"]);
      },
    }),
    python({
      name: "every descriptor",
      tries:
        "Opens files until there are no more descriptors, with the limit raised to its ceiling.",
      safeOutcome: "4,096 are the end of it.",
      source: `
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
opened = 0
try:
    while opened < 100_000:
        os.open("/dev/null", os.O_RDONLY)
        opened += 1
except OSError as error:
    os.write(1, b"EMFILE below 4096\\n" if error.errno == 24 and opened < 4096 else b"other\\n")
`,
      async expect(ended, world) {
        await printedJust("EMFILE below 4096\n")(ended, world);
        expect(ended.oom).toBe(noOom(world));
      },
    }),
  ],
};
