import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");

/** What libraries make of how they were started. */
export const pythonLibraries = [
  ...["fork", "spawn", "forkserver"].map((method) =>
    python(
      `multiprocessing by ${method}`,
      "[0, 1, 4]",
      `import multiprocessing as mp, os, sys
class Thing:
    def __init__(self, n): self.n = n
def square(thing):
    return thing.n ** 2, __name__, sys.argv, sys.path[0], os.getcwd()
if __name__ == "__main__":
    mp.set_start_method("${method}")
    print(mp.current_process().name, getattr(mp, "parent_process", str)())
    with mp.Pool(2) as pool: results = pool.map(square, [Thing(n) for n in range(3)])
    print([each[0] for each in results], sorted(set(map(repr, results))))
    child = mp.Process(target=sys.exit, args=(4,)); child.start(); child.join(); print(child.exitcode)`,
    ),
  ),
  python(
    "os.fork",
    "child 0",
    `import os, sys
print("before"); sys.stdout.write("twice ")
pid = os.fork()
if pid == 0:
    print("child", os.getppid() == os.getsid(0), len(os.listdir("/proc/self/fd")))
    sys.exit(5)
print("child", pid - os.getpid() - 1, os.waitpid(pid, 0)[1])`.replace(
      '"child", os.getppid()',
      '"forked", os.getppid()',
    ),
  ),
  python(
    "os.execv of itself",
    "main.py', 'again'] /work",
    `import os, sys
if len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, __file__, "again"])
print("again", sys.argv, sys.path[0], sorted(os.environ), os.getpid())
sys.exit(3)`,
  ),
  python(
    "itself as a child",
    "child ['main.py', 'child']",
    `import os, subprocess, sys
if len(sys.argv) > 1:
    print("child", sys.argv, sorted(os.environ), sys.flags, sys.path)
    raise ValueError("child")
print(subprocess.run([sys.executable, *sys.argv, "child"], stderr=subprocess.STDOUT, stdout=subprocess.PIPE).stdout.decode())
print(subprocess.run([sys.executable, "-I", "-c", "import sys; print(sys.path, sys.flags)"], stdout=subprocess.PIPE).stdout)
print(os.system("exit 3"), subprocess.call(["sh", "-c", "kill -PIPE $$"]), os.popen("trap").read())`,
  ),
  python(
    "asyncio and executors",
    "[0, 1, 2]",
    `import asyncio, concurrent.futures as cf, threading
async def work(n):
    await asyncio.sleep(0.001 * (3 - n))
    return n
async def main():
    loop = asyncio.get_running_loop()
    print(await asyncio.gather(*map(work, range(3))), type(loop).__name__, asyncio.current_task(loop) is not None)
    with cf.ThreadPoolExecutor(2) as pool: print(await loop.run_in_executor(pool, lambda: threading.current_thread().name))
    process = await asyncio.create_subprocess_exec("cat", "/proc/self/comm", stdout=asyncio.subprocess.PIPE)
    print(await process.communicate())
asyncio.run(main())
with cf.ProcessPoolExecutor(1) as pool: print(list(pool.map(abs, [-1])))
async def fail(): raise ValueError("in a task")
asyncio.run(fail())`,
  ),
  python(
    "pickles of its own classes",
    "__main__ Thing",
    `import copy, pickle, sys, pickletools
class Thing:
    x = 1
data = pickle.dumps(Thing(), 2)
print(data, type(pickle.loads(data)).__module__, type(pickle.loads(data)).__name__)
from dataclasses import dataclass, fields
from enum import Enum
from collections import namedtuple
Point = namedtuple("Point", "x y"); Color = Enum("Color", "RED BLUE")
@dataclass(order=True)
class Data: a: int; b: str = "x"
print(pickle.loads(pickle.dumps([Point(1, 2), Color.RED, Data(3)])), Point.__module__, Color.__module__, fields(Data)[0].type)`,
  ),
  python(
    "runpy, exec and code",
    "run as other",
    `import runpy, sys, code
print(sorted(set(runpy.run_path("other.py", run_name="other")) - set(dir())))
print(runpy.run_module("pkg", run_name="__main__", alter_sys=True)["__name__"], sys.argv)
exec(compile("print(__name__, __file__); raise KeyError(1)", "made.py", "exec"))`,
    {
      files: {
        "other.py": "print('run as', __name__)",
        "pkg/__init__.py": "",
        "pkg/__main__.py": "import sys\nprint(__name__, __package__, sys.argv, __spec__.name)",
      },
    },
  ),
  python(
    "collections of garbage",
    "garbage",
    `import gc, weakref
class Node: pass
def ring():
    a, b = Node(), Node()
    a.b, b.a = b, a
    return weakref.ref(a)
gc.disable()
refs = [ring() for _ in range(10)]
print("garbage", sum(ref() is not None for ref in refs), gc.collect() >= 20, sum(ref() is not None for ref in refs), gc.garbage)
mine = Node()
print(mine in gc.get_objects(), gc.is_tracked(mine), len(gc.get_stats()), len(gc.get_referrers(Node)) > 0)`,
  ),
  python(
    "interactive pieces",
    "Python",
    `import sys, platform, sysconfig, getpass, pwd, os
print("Python", sys.version, platform.platform(), sysconfig.get_paths()["stdlib"], pwd.getpwuid(os.getuid()), platform.node())
print(hasattr(sys, "ps1"), bool(sys.flags.interactive), sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.expanduser("~"))
help(abs)`,
  ),
];
