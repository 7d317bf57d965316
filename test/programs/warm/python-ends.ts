import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");

/** How a program ends, and what it says then. */
export const pythonEnds = [
  python(
    "an error",
    "ValueError: ('zwölf', 1)",
    `def inner(x):
    raise ValueError("zwölf", x)

def outer():
    inner(x=1)

print("before")
outer()`,
  ),
  python(
    "an error in a neighbour's class",
    "KeyError: 'missing'",
    `import neighbour
try: neighbour.Thing().look()
except KeyError as error: raise RuntimeError("as a consequence") from error`,
    {
      files: {
        "neighbour.py": "class Thing:\n    def look(self):\n        return {}['missing']\n",
      },
    },
  ),
  python(
    "errors in a chain",
    "During handling",
    `try:
    try: 1 / 0
    finally: {}[1]
except KeyError:
    import json
    json.loads("{")`,
  ),
  python("a syntax error", "SyntaxError", "print('never')\nif True print(1)\n"),
  python("an error of indentation", "IndentationError", "if True:\nprint(1)\n"),
  python("a NUL in the program", "", "print(1)\0\n"),
  python(
    "another encoding",
    "zw\u00f6lf",
    "# -*- coding: latin-1 -*-\nprint(len('\u00f6'), 'zw\u00f6lf'.encode('latin-1').decode())\n",
  ),
  python("an empty program", "", ""),
  python(
    "the interpreter's own trace",
    "main.py",
    `import inspect, sys, traceback, warnings
def show():
    traceback.print_stack()
    print([(frame.filename, frame.lineno, frame.function) for frame in inspect.stack()])
    print(sys._getframe().f_back.f_code.co_name, sys._getframe(1).f_back)
    try: sys._getframe(2)
    except ValueError as error: print(error)
    for level in range(1, 5): warnings.warn("level %d" % level, stacklevel=level)
show()
print(inspect.getsource(show), inspect.getfile(show), inspect.getmodule(show), show.__module__)`,
  ),
  python(
    "a resource that stays open",
    "ResourceWarning",
    `import warnings
warnings.simplefilter("always")
def leak(): open("main.py")
leak()
class Gone:
    def __del__(self): raise ValueError("in __del__")
Gone()`,
  ),
  ...[
    ["0", "sys.exit()"],
    ["a number", "sys.exit(7)"],
    ["a large number", "sys.exit(1000)"],
    ["a text", "sys.exit('said at the end')"],
    ["a tuple", "sys.exit((1, 2))"],
    ["SystemExit", "raise SystemExit"],
    ["quit", "quit(9)"],
    ["_exit", "os._exit(11)"],
    ["abort", "os.abort()"],
    ["KeyboardInterrupt", "raise KeyboardInterrupt"],
    [
      "an exit code in a thread",
      "t = threading.Thread(target=sys.exit, args=(5,)); t.start(); t.join(); print('alive')",
    ],
  ].map(([how = "", code = ""]) =>
    python(
      `exit by ${how}`,
      "before",
      `import atexit, os, signal, sys, threading
atexit.register(print, "atexit")
print("before")
${code}`,
    ),
  ),
  ...[
    "SIGINT",
    "SIGTERM",
    "SIGSEGV",
    "SIGKILL",
    "SIGPIPE",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGUSR1",
    "SIGHUP",
    "SIGSTKFLT",
  ].map((name) =>
    python(
      `${name} to itself`,
      "before",
      `import os, signal, time
print("before")
os.kill(os.getpid(), signal.${name === "SIGSTKFLT" ? "Signals(16)" : name})
time.sleep(0.01)
print("after")`,
    ),
  ),
  python(
    "signals that it handles",
    "handled [10, 12, 15]",
    `import os, signal
seen = []
for each in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
    signal.signal(each, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), each)
print("handled", seen)
signal.alarm(1)
signal.pause()`,
  ),
  python(
    "a pipe that nobody reads",
    "BrokenPipeError",
    `import os
read, write = os.pipe()
os.close(read)
os.write(write, b"x")`,
  ),
  python(
    "an error in a thread",
    "Exception in thread",
    `import threading
def fail(): raise ValueError("in a thread")
threads = [threading.Thread(target=fail, name=f"T{n}") for n in range(2)]
for each in threads: each.start(); each.join()
print(threading.main_thread().name, threading.current_thread() is threading.main_thread(), threading.main_thread().native_id)
def late():
    import time
    time.sleep(0.05)
    print("a thread outlives main")
threading.Thread(target=late).start()`,
  ),
  python(
    "errors at the end",
    "Error in atexit",
    `import atexit
@atexit.register
def last(): print("last")
@atexit.register
def fail(): raise ValueError("in atexit")
print("Error in atexit follows")`,
  ),
  ...[
    ["in the program", "kept = Heard()"],
    ["in a class of a module", "json.JSONEncoder.kept = Heard()"],
    ["in a module", "json.kept = Heard()"],
    ["in the place of something in a module", "json.scanner = Heard()"],
    ["in a table of a module", "copyreg.dispatch_table[int] = Heard()"],
    ["in a module, among many", "json.kept = Heard()\nmany = [[] for _ in range(3000)]"],
    ["in a function of a module", "string.capwords.kept = Heard()"],
    ["by a cycle", "kept = Heard(); kept.itself = kept; string.kept = kept"],
    ["in slots", "json.JSONDecoder.kept = InSlots()"],
    ["of a class that is asked for nothing", "enum.Enum.kept = Shy()"],
    [
      "as a file",
      "json.JSONEncoder.kept = open(1, 'w', closefd=False)\njson.JSONEncoder.kept.write('all of it')",
    ],
    ["as a generator", "json.JSONEncoder.kept = goes_on(); next(json.JSONEncoder.kept)"],
    ["by its finalizer", "kept = Heard(); weakref.finalize(kept, print, 'finalized')"],
    [
      "by a thread",
      "threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); json.kept = Heard()",
    ],
  ].map(([where = "", code = ""]) =>
    python(
      `what is left ${where} hears of the end`,
      "before",
      `import atexit, copyreg, enum, json, string, threading, time, weakref
class Heard:
    def __del__(self): print("heard", json and json.__name__, json and sorted(json.loads('{"a": 1}')))
class InSlots:
    __slots__ = ()
    def __del__(self): print("heard in slots")
class Asked(type):
    def __getattribute__(self, name):
        print("asked for", name)
        return type.__getattribute__(self, name)
    def __hash__(self):
        print("asked for a hash")
        return 1
class Shy(metaclass=Asked):
    def __del__(self): print("heard shyly")
def goes_on():
    try: yield
    finally: print("the rest")
atexit.register(lambda: print("atexit", __import__("json") is json, __import__("sys").modules["json"] is json))
${code}
print("before")`,
    ),
  ),
  ...[
    [
      "a debugger left on",
      "sys.settrace(lambda frame, event, arg: print(event, frame.f_code.co_name))",
    ],
    [
      "a profiler left on",
      "sys.setprofile(lambda frame, event, arg: print(event, frame.f_code.co_name))",
    ],
    ["handlers called early", "atexit._run_exitfuncs()\nprint(pickle.loads(pickle.dumps(P())))"],
    ["no builtins left", "builtins.__dict__.clear()"],
    [
      "builtins of its own",
      "builtins.map = builtins.zip = builtins.type = lambda *given: os._exit(9)",
    ],
    ["no modules left", "del sys.modules"],
    [
      "a connection whose changes are not stored",
      "random.random = lambda: 4\nc = sqlite3.connect('a.db')\nc.execute('create table t(x)')\nc.commit()\nc.execute('insert into t values(1)')\natexit.register(lambda: print(os.listdir()))",
    ],
    [
      "a stream of its own that forgets to flush",
      "sys.stdout = Tee()\ndef f(x: List[Tee]): ...\nprint('no newline', end='')",
    ],
    [
      "weak references with handlers",
      "math.d = Heard(); sys.r = weakref.ref(math.d, lambda r, w=os.write: w(1, b'callback'))",
    ],
    [
      "most of its memory used",
      "x = [[] for _ in range(3_000_000)]\nresource.setrlimit(resource.RLIMIT_AS, (int(open('/proc/self/statm').read().split()[0]) * 4096 + 100_000,) * 2)",
    ],
  ].map(([what = "", code = ""]) =>
    python(
      `the end with ${what}`,
      "before",
      `import atexit, builtins, collections, gc, math, os, pickle, random, resource, sqlite3, sys, weakref
from typing import List
P = collections.Counter
real = sys.stdout
class Heard:
    def __del__(self, write=os.write): write(1, b"heard")
class Tee:
    def write(self, text): real.write(text)
    def flush(self): pass
print("before")
${code}`,
    ),
  ),
  python(
    "a heap that it has frozen itself",
    "before",
    `import gc, os
from typing import List
class Heard:
    def __del__(self, write=os.write): write(1, b"heard")
kept = Heard()
List[Heard]
gc.freeze()
kept = [Heard()]
print("before")`,
  ),
  python(
    "too deep",
    "RecursionError",
    `def f(n): return f(n + 1)
f(0)`,
  ),
  python(
    "too much memory",
    "MemoryError or killed",
    `import sys
print("MemoryError or killed")
sys.stdout.flush()
x = bytearray(100 << 20)
y = bytearray(1 << 40)`,
  ),
  python(
    "past its files",
    "File too large",
    `import os
print("File too large or no space")
with open("big", "wb") as file:
    for _ in range(20): file.write(b"x" * (1 << 20))`,
    { spec: { limits: { disk_mb: 8 } } },
  ),
];
