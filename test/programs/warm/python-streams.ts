import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");
const STDIN = "first\nzwölf €\n\nlast without end";

/** What a program reads and prints. */
export const pythonStreams = [
  python(
    "input()",
    "['first', 'zwölf €', '', 'last without end'] EOF",
    `lines = []
try:
    while True: lines.append(input())
except EOFError: print(lines, "EOF")`,
    { spec: { stdin: STDIN } },
  ),
  python(
    "bytes of stdin",
    "b'first\\nzw",
    `import os, sys
print(sys.stdin.buffer.tell(), sys.stdin.buffer.read(8), sys.stdin.read())
print(os.read(0, 10), os.lseek(0, 0, os.SEEK_CUR))
os.lseek(0, 2, os.SEEK_SET)
print(os.read(0, 5), open("/dev/stdin", "rb").read(3), open(0, closefd=False).read())
print(sys.stdin.seekable(), sys.stdin.seek(0), sys.stdin.readline(), os.fstat(0).st_size)`,
    {
      spec: { stdin: STDIN },
    },
  ),
  python(
    "stdin of a child",
    "b'FIRST",
    `import subprocess, sys
print(subprocess.run(["tr", "a-z", "A-Z"], stdout=subprocess.PIPE).stdout, repr(sys.stdin.read()))`,
    {
      spec: { stdin: STDIN },
    },
  ),
  python(
    "no stdin",
    "'' []",
    `import fcntl, os, select, sys
print(repr(sys.stdin.read()), list(sys.stdin), os.read(0, 5), fcntl.fcntl(0, fcntl.F_GETFL), os.lseek(0, 0, os.SEEK_END))
print(select.select([0], [], [], 0)[0], os.readlink("/proc/self/fd/0").rstrip("0123456789"))
try: input("prompt ")
except EOFError as error: print(error)`,
  ),
  python(
    "output without an end",
    "no newline",
    `import sys
sys.stderr.write("neither here")
sys.stdout.write("no newline")`,
  ),
  python(
    "output that is never flushed",
    "seen",
    `import os, sys
print("seen")
sys.stdout.write("lost")
os._exit(3)`,
  ),
  python(
    "both streams in turn",
    "out 19",
    `import sys
for n in range(20):
    print("out", n)
    print("err", n, file=sys.stderr)
    sys.stdout.write("o"); sys.stdout.flush()
    sys.stderr.write("e")`,
  ),
  python(
    "bytes that are no text",
    "\uFFFD",
    `import sys, os
sys.stdout.buffer.write(b"\\xff\\xfe\\x00 raw\\n"); sys.stdout.flush()
os.write(1, "zwölf\\r\\n".encode("latin-1"))
try: print("\\udcff")
except UnicodeEncodeError as error: print(error)`,
  ),
  python(
    "much output",
    "x 49999",
    `import sys
for n in range(50000): print("x", n)
sys.stderr.write("y" * 300_000)`,
  ),
  python(
    "a closed stdout",
    "still",
    `import os, sys
print("still", file=sys.stderr)
os.close(1)
print("into nothing")`,
  ),
  python(
    "files that it makes",
    "sub",
    `import os, stat, tempfile
os.makedirs("sub/deeper")
for path, content in (("out.txt", "made"), ("sub/deeper/x.bin", "\\0" * 5000), ("data.txt", "changed")):
    with open(path, "w") as file: file.write(content)
os.chmod("out.txt", 0o600)
os.symlink("out.txt", "link")
print([(path, stat.filemode(os.stat(path).st_mode)) for path in ("out.txt", "sub", "data.txt", "same.txt", "main.py", ".")])
print(tempfile.gettempdir(), os.statvfs(".").f_blocks, os.statvfs("/tmp").f_blocks, os.listdir("sub"))`,
    {
      files: { "data.txt": "given", "same.txt": "untouched" },
    },
  ),
];
