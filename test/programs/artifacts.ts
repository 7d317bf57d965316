import { expect } from "bun:test";

import { leaves, namesOf, safeDownloads } from "./artifact-downloads.ts";
import { bash, printedJust, python, type Theme, WALL_LIMIT } from "./hostile-program.ts";

/** What a run may leave at most. */
const MAX_FILES = 1_000;

const FOLLOWED = "Only regular files are artifacts, and no link is followed.";

export const artifacts: Theme = {
  title: "Artifacts",
  entries: [
    bash({
      name: "symlinks to host files",
      tries: "Leaves links to files of the host, to be followed when its artifacts are collected.",
      safeOutcome: FOLLOWED,
      source: `
ln -s /etc/passwd passwd; ln -s /etc/shadow shadow.txt; ln -s "$BAIT_FILE" bait.txt; ln -s / root
ln -s /proc/self/environ environ; ln -s "$DATA_DIR" data; ln -s loop loop; echo ok > real.txt`,
      expect: leaves("real.txt"),
    }),
    bash({
      name: "an input turned into a link",
      tries: "Replaces its uploaded files by links and directories.",
      safeOutcome: FOLLOWED,
      source:
        "rm given.txt other.txt; ln -s /etc/passwd given.txt; mkdir other.txt; echo x > other.txt/in",
      files: { "given.txt": "given\n", "other.txt": "other\n" },
      expect: leaves("other.txt/in"),
    }),
    bash({
      name: "its working directory replaced",
      tries: "Moves its working directory away and puts a link in its place.",
      safeOutcome: "/work is a mount: refused.",
      source:
        "cd /; mv /work /tmp/away 2>/dev/null; rmdir /work 2>/dev/null; ln -s /etc /work/link; echo ok > /work/real.txt",
      expect: leaves("real.txt"),
    }),
    python({
      name: "a directory that becomes a link while it is read",
      tries: "Leaves a process behind that swaps a directory for a link to /etc, over and over.",
      safeOutcome: "Everybody is dead before the first file is read.",
      source: `
import os
os.mkdir("d"); open("d/passwd", "w").write("mine\\n"); os.symlink("/etc", "link")
if os.fork() == 0:
    os.setsid()
    while True:
        os.rename("d", "kept"); os.rename("link", "d"); os.rename("d", "link"); os.rename("kept", "d")
import time; time.sleep(0.2)
`,
      async expect(ended, world) {
        expect(ended.status).toBe("succeeded");
        // Caught in the middle of a swap, the directory has its other name.
        expect(["d/passwd", "kept/passwd"]).toContain(namesOf(ended).join());
        expect(ended.artifacts[0]!.size).toBe("mine\n".length);
        await safeDownloads(ended, world);
      },
    }),
    python({
      name: "a file that grows while it is read",
      tries: "Leaves a process behind that appends to a file for ever.",
      safeOutcome: "Everybody is dead before the first file is read: it is whole.",
      source: `
import os, time
if os.fork() == 0:
    os.setsid()
    with open("growing", "wb", buffering=0) as file:
        while True:
            if file.write(b"x" * 4096) < 4096 or file.tell() > 4 << 20: file.seek(0)
time.sleep(0.2)
`,
      expect: leaves("growing"),
    }),
    bash({
      name: "hard links",
      tries: "Gives a file a second name, and tries to give one to a file of the host.",
      safeOutcome: "Its own come out as two files; the host's are on another file system.",
      source:
        'echo mine > a; ln a b; for f in /etc/passwd /usr/bin/perl "$BAIT_FILE"; do ln "$f" stolen 2>/dev/null; done; exit 0',
      expect: leaves("a", "b"),
    }),
    python({
      name: "pipes and sockets",
      tries: "Leaves pipes and sockets, which block whoever opens them.",
      safeOutcome: "Only regular files are artifacts.",
      source: `
import os, socket
os.mkfifo("pipe"); os.mkfifo("out.txt")
s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.listen()
open("real.txt", "w").write("ok")
`,
      expect: leaves("real.txt"),
    }),
    bash({
      name: "files that may not be read",
      tries: "Takes every right from its files and directories, and sets their setuid bits.",
      safeOutcome: "They come out; modes do not: on the host they are plain files.",
      source:
        "mkdir shut; echo 1 > shut/one; echo 2 > two; cp two suid; chmod 6777 suid; chmod 000 two shut/one shut",
      expect: leaves("shut/one", "suid", "two"),
    }),
    python({
      name: "3,000 directories deep",
      tries: "Nests directories until no path reaches the bottom.",
      safeOutcome: "What is deeper than 100 is left out, and said; removing it takes no time.",
      source: `
import os
open("top.txt", "w").write("top")
for _ in range(3_000):
    os.mkdir("d"); os.chdir("d")
open("bottom.txt", "w").write("bottom")
`,
      async expect(ended, world) {
        await leaves("top.txt")(ended, world);
        expect(ended.warnings.join()).toContain("were not kept");
        expect(ended.usage!.wall_ms).toBeLessThan(5_000);
      },
    }),
    python({
      name: "20,000 files",
      tries: "Leaves 20,000 small files.",
      safeOutcome: `The first ${MAX_FILES} are kept; how many were left out is said.`,
      source: `
for n in range(20_000): open(f"{n}.txt", "w").close()
`,
      spec: { limits: { disk_mb: 256 } },
      expect(ended) {
        expect(ended).toMatchObject({ status: "succeeded" });
        expect(ended.artifacts).toHaveLength(MAX_FILES);
        expect(ended.warnings.join()).toMatch(/^190\d\d of the files .* were not kept/);
      },
    }),
    python({
      name: "a page as an artifact",
      tries: "Leaves pages and pictures with scripts, to run in the origin of the service.",
      safeOutcome: "Artifacts are downloads, never sniffed, in a sandbox without an origin.",
      source: `
for name in ("page.html", "picture.svg", "page.xhtml", "script.js", "page.xml", "index", "page.html;a.txt"):
    open(name, "w").write("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/><script>alert(1)</script>")
`,
      expect: leaves(
        "page.html",
        "picture.svg",
        "page.xhtml",
        "script.js",
        "page.xml",
        "index",
        "page.html;a.txt",
      ),
    }),
    python({
      name: "files written past the time limit",
      tries: "Writes until it is killed in the middle of a write.",
      safeOutcome: "What is there at the end is kept, within the disk limit.",
      source: `
while True:
    with open("out.bin", "wb") as file: file.write(b"x" * (2 << 20))
`,
      spec: { timeout_sec: 1 },
      async expect(ended, world) {
        expect(ended).toMatchObject(WALL_LIMIT);
        expect(namesOf(ended)).toEqual(["out.bin"]);
        await safeDownloads(ended, world);
      },
    }),
    python({
      name: "records of its own",
      tries: "Looks for the pipe by which its supervisor reports, to say that it had succeeded.",
      safeOutcome: "The pipe is not its own: what it says elsewhere is output.",
      source: `
import os, struct
record = b"E" + struct.pack(">I", 16) + bytes(16)
for fd in range(3, 64):
    try: os.write(fd, record)
    except OSError: pass
    else: print("wrote to", fd)
for pid in ("1", "self"):
    for fd in range(3, 64):
        try: os.write(os.open(f"/proc/{pid}/fd/{fd}", os.O_WRONLY), record)
        except OSError: pass
        else: print("wrote to", pid, fd)
os.close(1)
raise SystemExit(9)
`,
      expect: (ended) => expect(ended).toMatchObject({ exit_code: 9, printed: "" }),
    }),
    bash({
      name: "the supervisor's words",
      tries: "Writes what the supervisor would say of a broken sandbox to where it can.",
      safeOutcome: "It is output of the job like any other.",
      source: "echo 'The sandbox ended before the program started' >&2",
      expect: printedJust("The sandbox ended before the program started\n"),
    }),
  ],
};
