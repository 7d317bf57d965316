import { programsOf } from "./warm-program.ts";

const python = programsOf("main.py");

const ODD_ARGS = ["--flag", "", "a b", "zwölf €", "$HOME;`x`", "\u{1F40D}", "-c", "line\nbreak"];
const WHERE_AM_I = `import sys, os
print(sys.argv, sys.path, __file__, __name__, __spec__, os.getcwd(), sys.flags)
print(ascii(getattr(sys, "orig_argv", None)), sys.executable, __builtins__, sorted(globals()))`;

/** What a program sees of itself, of its process and of its surroundings. */
export const pythonStart = [
  python("itself", "['main.py'] ['/work'", WHERE_AM_I),
  python("arguments", "['main.py', '--flag', '', 'a b'", WHERE_AM_I, { spec: { args: ODD_ARGS } }),
  python(
    "an entry in a folder",
    "['pkg/tool.py', 'x'] ['/work/pkg'",
    `${WHERE_AM_I}\nimport other`,
    {
      entry: "pkg/tool.py",
      files: { "pkg/other.py": "print('other', __file__)", "other.py": "print('wrong one')" },
      spec: { args: ["x"] },
    },
  ),
  python("an entry with a space", "['my program.py']", WHERE_AM_I, { entry: "my program.py" }),
  python("an entry with a dash", "['./-m.py']", WHERE_AM_I, { entry: "-m.py" }),
  python("an entry with letters of elsewhere", "['zwölf€.py']", WHERE_AM_I, { entry: "zwölf€.py" }),
  python("an entry without an extension", "['program']", WHERE_AM_I, {
    entry: "program",
    spec: { runtime: "python" },
    on: "sandbox",
  }),
  python("an entry in capital letters", "['MAIN.PY']", WHERE_AM_I, { entry: "MAIN.PY" }),
  python("an entry named __main__", "['__main__.py']", WHERE_AM_I, { entry: "__main__.py" }),
  python(
    "its neighbours",
    "again main False",
    `import neighbour, pkg.deep, __main__, sys
print(__main__.__file__, neighbour.__file__, pkg.deep.__name__, neighbour.seen)
import main
print("again", main.__name__, main is __main__, sorted(set(sys.modules) & {"main", "neighbour", "pkg"}))
print(open("data.txt").read(), open(__file__).readline())`,
    {
      files: {
        "neighbour.py": "import sys\nseen = sys.argv",
        "pkg/deep.py": "",
        "data.txt": "relative",
      },
    },
  ),
  python(
    "its environment",
    "'GREETING', 'zwölf €'",
    `import os, posix, subprocess
mine = sorted(os.environ.items())
print(mine, sorted(os.environb.items()))
print(sorted(posix.environ.items()))
print(sorted(open("/proc/self/environ", "rb").read().strip(b"\\0").split(b"\\0")))
print(sorted(subprocess.check_output(["env", "-0"]).split(b"\\0")))
print([os.getenv(name) for name in ("HOME", "LANG", "PATH", "GREETING", "JOB_RUNNER_WAIT", "JOB_RUNNER_ROOM")])
del os.environ["GREETING"]
os.environ["MADE"] = "here"
print(sorted(subprocess.check_output(["env"]).split(b"\\n")), os.getenv("GREETING"))`,
    {
      spec: { env: { GREETING: "zwölf €", EMPTY: "", EQUALS: "a=b=c", LINES: "a\nb", lower: "x" } },
    },
  ),
  python(
    "an environment larger than one page",
    "BIG 100000",
    `import os, subprocess
print("BIG", len(os.environ["BIG"]), len(subprocess.check_output("env")))
print(sorted(each.partition(b"=")[0] for each in open("/proc/self/environ", "rb").read().split(b"\\0") if each))`,
    { spec: { env: { BIG: "x".repeat(100_000) } } },
  ),
  python(
    "variables named like our own",
    "'5', ' '",
    `import os, subprocess, sys
print([os.environ[name] for name in ("JOB_RUNNER_WAIT", "JOB_RUNNER_ROOM")])
print(subprocess.check_output([sys.executable, "-c", "import os; print(os.environ['JOB_RUNNER_WAIT'])"]))`,
    { spec: { env: { JOB_RUNNER_WAIT: "5", JOB_RUNNER_ROOM: " " } } },
  ),
  python(
    "its process",
    "SigIgn:",
    `import os, resource, signal, sys
print(os.getpid(), os.getppid(), os.getsid(0), os.getpgrp(), os.getresuid(), os.getresgid(), os.getgroups())
print(os.sched_getaffinity(0), os.nice(0), os.sched_getscheduler(0), oct(os.umask(0o22)), os.getcwd())
for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
    print(name, resource.getrlimit(getattr(resource, name)))
for line in open("/proc/self/status"):
    if line.split(":")[0] in ("Name", "Umask", "SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff", "CapBnd",
                              "NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads", "TracerPid", "Uid", "Gid", "NSpid"):
        print(line, end="")
for name in ("oom_score_adj", "cmdline", "comm", "loginuid", "limits", "timerslack_ns"):
    print(name, open("/proc/self/" + name, "rb").read())
print([signal.getsignal(each) for each in sorted(signal.valid_signals())], signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(signal.getitimer(signal.ITIMER_REAL), os.get_terminal_size.__name__, os.isatty(0), os.isatty(1))`,
  ),
  python(
    "its open files",
    "'0 ",
    `import fcntl, os, stat
for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
    try: status = os.fstat(fd)
    except OSError: print(f"'{fd} was the listing"); continue
    kind = os.readlink(f"/proc/self/fd/{fd}").partition("-")[0].partition("[")[0]
    print(f"'{fd} {kind} {stat.filemode(status.st_mode)} {fcntl.fcntl(fd, fcntl.F_GETFL):o} {fcntl.fcntl(fd, fcntl.F_GETFD)}")
    print(os.get_inheritable(fd), status.st_nlink, status.st_uid, status.st_size)
print(sorted(os.listdir("/work")), sorted(os.listdir("/tmp")), sorted(os.listdir("/proc/self/task")) == [str(os.getpid())])`,
  ),
  python(
    "its modules and settings",
    "utf-8",
    `import sys, locale, time, site, warnings, gc, threading, os.path, encodings
print(sys.getfilesystemencoding(), sys.getdefaultencoding(), locale.getpreferredencoding(), locale.setlocale(locale.LC_ALL))
print(time.tzname, time.timezone, time.localtime(0)[:6], site.ENABLE_USER_SITE, site.USER_SITE, site.getsitepackages())
print(warnings.filters, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.pycache_prefix if hasattr(sys, "pycache_prefix") else "")
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, gc.garbage, threading.active_count(), sys.getswitchinterval())
print(sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.excepthook, sys.displayhook, sys.unraisablehook, sys.meta_path)
print([type(each).__name__ for each in sys.path_hooks], sys.modules["sitecustomize"].__name__, sys.stdout.line_buffering, sys.stderr.line_buffering)
print(sys.stdin.encoding, sys.stdin.errors, sys.stdout.errors, sys.stderr.errors, sys.stdin.name, sys.stdout.name, sys.stdin.mode)
print([name for name in sys.modules if name in ("subprocess", "multiprocessing", "logging", "asyncio", "socket", "traceback", "main")])
def depth(n=0):
    try: return depth(n + 1)
    except RecursionError: return n
print(depth(), sys._getframe().f_back, sys._getframe().f_code.co_filename, len(sys._current_frames()))`,
  ),
];
