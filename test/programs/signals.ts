import { expect } from "bun:test";

import { bash, noOom, printedJust, python, type Theme, WALL_LIMIT } from "./hostile-program.ts";

export const signals: Theme = {
  title: "Signals and how a program ends",
  entries: [
    python({
      name: "deaf to every signal",
      tries: "Ignores every signal that can be ignored, and sleeps past its time.",
      safeOutcome: "Killed at its time limit; what it printed and wrote is kept.",
      source: `
import signal, time
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP): signal.signal(number, signal.SIG_IGN)
open("kept.txt", "w").write("kept")
print("deaf", flush=True)
time.sleep(600)
`,
      spec: { timeout_sec: 1 },
      expect(ended) {
        expect(ended).toMatchObject({ ...WALL_LIMIT, signal: "SIGKILL", printed: "deaf\n" });
        expect(ended.artifacts.map(({ name }) => name)).toEqual(["kept.txt"]);
      },
    }),
    bash({
      name: "kill everybody",
      tries: "Sends SIGKILL to every process that it can see.",
      safeOutcome: "Only its own processes are hit, and its own end is still told.",
      source: "sleep 600 & kill -9 -1; echo alive; exit 5",
      expect: (ended) =>
        expect(ended).toMatchObject({ reason: "exit_code", exit_code: 5, printed: "alive\n" }),
    }),
    bash({
      name: "kill the supervisor",
      tries: "Sends every kind of signal to PID 1, its supervisor.",
      safeOutcome: "PID 1 takes none of them; the job goes on.",
      source: "for n in {1..64}; do kill -$n 1 2>/dev/null; done; echo alive",
      expect: printedJust("alive\n"),
    }),
    bash({
      name: "stop itself",
      tries: "Stops itself, so that it never ends.",
      safeOutcome: "Killed at its time limit.",
      source: "echo stopping; kill -STOP $$; echo awake",
      spec: { timeout_sec: 1 },
      expect: (ended) => expect(ended).toMatchObject({ ...WALL_LIMIT, printed: "stopping\n" }),
    }),
    bash({
      name: "stop everybody else",
      tries: "Stops the supervisor, and leaves children stopped.",
      safeOutcome: "PID 1 cannot be stopped; stopped children die like others.",
      source: "sleep 600 & kill -STOP $! 1 -1; echo left",
      expect: printedJust("left\n"),
    }),
    bash({
      name: "exit 137 faked",
      tries: "Ends with the number that stands for death by SIGKILL.",
      safeOutcome: "Told as what it was, an exit code, and never as a lack of memory.",
      source: "exit 137",
      expect: (ended, world) =>
        expect(ended).toMatchObject({
          status: "failed",
          reason: "exit_code",
          exit_code: 137,
          signal: null,
          oom: noOom(world),
        }),
    }),
    bash({
      name: "an OOM kill faked",
      tries: "Kills itself as the kernel would for lack of memory.",
      safeOutcome: "Told as a signal; `oom` is not set.",
      source: "kill -9 $$",
      expect: (ended, world) =>
        expect(ended).toMatchObject({
          status: "failed",
          reason: "signal",
          exit_code: null,
          signal: "SIGKILL",
          oom: noOom(world),
        }),
    }),
    bash({
      name: "a CPU limit faked",
      tries: "Kills itself with the signal that stands for the limit of CPU time.",
      safeOutcome: "Told as a signal: it has used none.",
      source: "kill -XCPU $$",
      expect: (ended) =>
        expect(ended).toMatchObject({ status: "failed", reason: "signal", signal: "SIGXCPU" }),
    }),
    bash({
      name: "a full disk faked",
      tries: "Kills itself with the signal that stands for the limit of file size.",
      safeOutcome: "Told as a signal: its disk is empty.",
      source: "kill -XFSZ $$",
      expect: (ended) =>
        expect(ended).toMatchObject({ status: "failed", reason: "signal", signal: "SIGXFSZ" }),
    }),
    bash({
      name: "a core dump",
      tries: "Asks for core dumps without limit, then crashes.",
      safeOutcome: "Told as SIGSEGV; no core file, and no handler on the host, comes of it.",
      source: "ulimit -c unlimited 2>/dev/null; echo cores: $(ulimit -c); kill -SEGV $$",
      expect: (ended) =>
        expect(ended).toMatchObject({
          status: "failed",
          reason: "signal",
          signal: "SIGSEGV",
          printed: "cores: 0\n",
          artifacts: [],
        }),
    }),
    bash({
      name: "closed stdio",
      tries: "Closes stdin, stdout and stderr, then works on.",
      safeOutcome: "No trouble: its files come out.",
      source: "exec <&- >&- 2>&-; echo written > out.txt; echo lost; exit 0",
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded", printed: "" });
        expect(ended.artifacts.map(({ name }) => name)).toEqual(["out.txt"]);
      },
    }),
    python({
      name: "a score that protects from the OOM killer",
      tries: "Lowers its OOM score, so that the service is killed for its memory before it is.",
      safeOutcome: "It begins with the highest score, and never gets below the service's own.",
      source: `
path = "/proc/self/oom_score_adj"
print(open(path).read().strip())
for score in range(-1000, 0, 100):
    try:
        with open(path, "w") as file: file.write(str(score))
        print("done", score)
    except OSError: pass
print(open(path).read().strip())
`,
      expect: printedJust("1000\n1000\n"),
    }),
  ],
};
