import { expect } from "bun:test";

import {
  attempts,
  bash,
  javascript,
  printedJust,
  python,
  resultsOf,
  type Theme,
} from "./hostile-program.ts";

/*
 * The secret of the baits stands in the service's environment, in a host file that all may read, and in the arguments,
 * environment and files of a job that runs all along. The test looks for it in all that any program prints or leaves.
 */

const PROCESS_FILES = ["environ", "cmdline", "maps", "mem", "auxv", "io", "stack", "syscall"];

export const secrets: Theme = {
  title: "Secrets of the host, the service and other jobs",
  entries: [
    bash({
      name: "host files",
      tries: "Reads what hosts keep secret: shadow passwords, keys, home directories, mounts.",
      safeOutcome: "None of it is there: /usr is the host's, read-only, and /etc is made for jobs.",
      source: `
for path in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh /etc/machine-id /etc/hostname /etc/fstab /root /home \\
  /var /srv /mnt /media /boot /sys /run/docker.sock /run/secrets /var/run/secrets /run/systemd "$BAIT_FILE" "$DATA_DIR"; do
  [ -e "$path" ] && echo "found $path"
done
cut -d: -f1 /etc/passwd | tr '\\n' ' '
cat "$BAIT_FILE" 2>&1 | grep -c "No such file"`,
      expect: printedJust("root guest nobody 1\n"),
    }),
    bash({
      name: "the whole file system",
      tries: "Searches all that it can see for files that it may not, or should not, read.",
      safeOutcome: "What it sees is a fixed list of places.",
      source: `ls -A / | tr '\\n' ' '; ls -A /dev | tr '\\n' ' '; echo; ls -A /run /tmp /dev/shm`,
      expect(ended) {
        expect(ended.status).toBe("succeeded");
        const [places = ""] = ended.printed.split("\n");
        const unknown = places
          .split(" ")
          .filter((each) => each !== "")
          .filter((each) => !KNOWN_PLACES.has(each));
        expect(unknown).toEqual([]);
        expect(ended.printed).toContain("/run:\nsupervisor");
      },
    }),
    python({
      name: "environments of other processes",
      tries: "Reads the environment and arguments of every process that it can see.",
      safeOutcome: "It sees its own processes and PID 1, whose environment it cannot read.",
      source: `
import os
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(len(pids))
for pid in pids:
    for name in ("environ", "cmdline"):
        try: print(pid == os.getpid(), name, b"BAIT" in open(f"/proc/{pid}/{name}", "rb").read())
        except OSError: print(pid == os.getpid(), name, "refused")
`,
      expect: printedJust(
        "2\nFalse environ refused\nFalse cmdline False\nTrue environ True\nTrue cmdline False\n",
      ),
    }),
    attempts({
      name: "the supervisor's memory",
      tries: "Reads the memory, descriptors and directories of PID 1, which gets the job's files.",
      safeOutcome: "PID 1 is closed to it.",
      source: `
for name in "${PROCESS_FILES.filter((each) => each !== "cmdline").join(" ")}".split():
    attempt(name, lambda: open(f"/proc/1/{name}", "rb").read(1))
for name in ("fd", "map_files", "task/1/fd"): attempt(name, lambda: os.listdir(f"/proc/1/{name}"))
for name in ("root", "cwd", "exe", "ns/net"): attempt(name, lambda: os.readlink(f"/proc/1/{name}"))
attempt("write", lambda: open("/proc/1/mem", "r+b"))
`,
      expect(ended) {
        const results = resultsOf(ended);
        expect(Object.keys(results)).toHaveLength(15);
        for (const result of Object.values(results)) expect(["EACCES", "EPERM"]).toContain(result);
      },
    }),
    python({
      name: "inherited descriptors",
      tries: "Looks for descriptors that the service left open in it.",
      safeOutcome: "It has stdin, stdout and stderr.",
      source: `
import os
def is_open(fd):
    try: return os.fstat(fd) is not None
    except OSError: return False
print([fd for fd in range(4096) if is_open(fd)])
print(os.readlink("/proc/self/fd/0"), os.readlink("/proc/self/fd/1").split(":")[0])
`,
      expect: printedJust("[0, 1, 2]\n/tmp/.stdin-1 (deleted) pipe\n"),
    }),
    python({
      name: "the service's environment",
      tries: "Prints every variable that it was given.",
      safeOutcome: "Its own, and a small fixed base; nothing of the service's.",
      source: `
import os
print(" ".join(sorted(name for name in os.environ if not name.startswith(("BAIT_", "SERVICE_")))))
`,
      expect(ended) {
        expect(ended.status).toBe("succeeded");
        const names = ended.printed.trimEnd().split(" ");
        const base = ["DATA_DIR", "HOME", "JOB_ATTEMPT", "JOB_ID", "LANG", "PATH", "TMPDIR"];
        expect(names).toEqual(expect.arrayContaining(base));
        // What a runtime needs for itself, e.g. PYTHONUNBUFFERED.
        const others = names.filter((name) => !base.includes(name));
        for (const name of others) expect(name).toMatch(/^(?:PYTHON\w+|PWD|SHLVL|_)$/);
      },
    }),
    bash({
      name: "files of a job that runs beside it",
      tries: "Looks for another job's files in /proc, /tmp and shared memory.",
      safeOutcome: "Neither the job nor its files can be seen.",
      source: `
cat /proc/*/root/work/victim* /proc/*/cwd/victim* /tmp/victim* /dev/shm/victim* /work/victim* 2>/dev/null
ls /proc/*/root 2>/dev/null | grep victim
tr '\\0' '\\n' < /proc/self/environ | grep -c VICTIM; true`,
      expect: printedJust("0\n"),
    }),
    python({
      name: "leftovers of jobs before it",
      tries: "Looks for what earlier jobs have left in memory, shared segments and directories.",
      safeOutcome: "Each job starts with nothing.",
      source: `
import os
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
def found(directory):
    # A runtime's own files may be mounted below /tmp, at the path that they have on the host.
    names = os.listdir(directory) if os.path.exists(directory) else []
    return sorted(name for name in names if not any(each.startswith(f"{directory}/{name}/") for each in mounts))
print(*map(found, ("/work", "/tmp", "/dev/shm", "/dev/mqueue")))
print([len(open(f"/proc/sysvipc/{kind}").readlines()) for kind in ("shm", "sem", "msg") if os.path.exists(f"/proc/sysvipc/{kind}")])
`,
      expect(ended) {
        expect(ended.printed).toMatch(/^\['main\.py'\] \[\] \[\] \[\]\n\[(?:1, 1, 1)?\]\n$/);
      },
    }),
    javascript({
      name: "where the service keeps things",
      tries: "Reads the paths of the host behind its own mounts.",
      safeOutcome: "The job folders' place is not among them.",
      source: `
const { readFileSync } = require("node:fs");
const mounts = readFileSync("/proc/self/mountinfo", "utf8");
console.log(mounts.includes(process.env.DATA_DIR), mounts.includes(process.env.BAIT_FILE), / ro[, ]/.test(mounts));
`,
      spec: { runtime: "node" },
      expect: printedJust("false false true\n"),
    }),
    attempts({
      name: "out of its root",
      tries:
        "Walks out by .., by its own root and working directory in /proc, and by a stale handle.",
      safeOutcome: "Each way leads back to its own root.",
      source: `
root = os.stat("/")
def leads_out(path):
    found = os.stat(path)
    if (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino): raise OSError(errno.EXDEV, "")
for path in ("/" + "../" * 40, "/proc/self/root", "/proc/self/cwd/../../..", "/proc/1/root", "/proc/self/task/1/root"):
    attempt(path[:24], lambda: leads_out(path))
handle = os.open("/", os.O_RDONLY)
attempt("handle", lambda: leads_out(f"/proc/self/fd/{handle}/../.."))
`,
      expect(ended) {
        const results = Object.values(resultsOf(ended));
        expect(results).toHaveLength(6);
        for (const result of results) expect(["EXDEV", "EACCES", "ENOENT"]).toContain(result);
      },
    }),
    attempts({
      name: "memory and logs of the kernel",
      tries: "Reads the kernel's memory, its log, its symbols and its keys.",
      safeOutcome: "None of it can be read.",
      source: `
for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/proc/kmsg", "/proc/keys/x", "/dev/sda", "/dev/vda"):
    attempt(path, lambda: os.open(path, os.O_RDONLY))
def symbols():
    addresses = {line.split()[0] for line in open("/proc/kallsyms")}
    if addresses <= {"0" * 16}: raise OSError(errno.EPERM, "")
attempt("symbols", symbols)
`,
      expect(ended) {
        const results = Object.values(resultsOf(ended));
        expect(results).toHaveLength(9);
        for (const result of results)
          expect(["EACCES", "EPERM", "ENOENT", "ENOTDIR"]).toContain(result);
      },
    }),
    attempts({
      name: "binaries behind /proc",
      tries: "Overwrites the programs that it and its supervisor run from, through /proc.",
      safeOutcome: "Refused: they are the host's, read-only.",
      source: `
for path in ("/proc/self/exe", "/usr/bin/perl", "/usr/bin/python3", "/bin/sh"):
    attempt(path, lambda: os.open(path, os.O_WRONLY))
`,
      expect(ended) {
        const results = Object.values(resultsOf(ended));
        expect(results).toHaveLength(4);
        for (const result of results) expect(["EROFS", "EACCES", "ETXTBSY"]).toContain(result);
      },
    }),
  ],
};

/** What bubblewrap-arguments.ts puts in / and /dev. */
const KNOWN_PLACES = new Set(
  [
    "bin dev etc lib lib32 lib64 libx32 proc run sbin tmp usr work root opt",
    "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
  ].flatMap((line) => line.split(" ")),
);
