import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");

/** What a program may use. */
export const pythonLimits = [
  python(
    "little memory",
    "128 or",
    `import resource
print("128 or", resource.getrlimit(resource.RLIMIT_AS))
try: bytearray(60 << 20); print("fits")
except MemoryError as error: print(repr(error))`,
    { spec: { limits: { memory_mb: 64 } }, on: "sandbox" },
  ),
  python(
    "its limits",
    "RLIMIT_NOFILE",
    `import os, resource
for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")): print(name, resource.getrlimit(getattr(resource, name)))
children = []
try:
    for _ in range(20):
        pid = os.fork()
        if pid == 0: os.execv("/bin/sleep", ["sleep", "5"])
        children.append(pid)
except BlockingIOError as error: print(len(children), error)
for pid in children: os.kill(pid, 9)`,
    { spec: { limits: { memory_mb: 200, processes: 8, cpu_sec: 3, output_mb: 2 } } },
  ),
  python(
    "its CPU time",
    "endless",
    `print("endless", flush=True)
while True: pass`,
    { spec: { limits: { cpu_sec: 1 } } },
  ),
  python(
    "its wall time",
    "waits",
    `import time
print("waits", flush=True)
time.sleep(60)`,
    { spec: { timeout_sec: 1 } },
  ),
];
