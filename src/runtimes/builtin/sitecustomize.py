"""Makes a line that a job prints a line that is seen, waits for the job where there is none yet, and gets out of the way.

Python imports this before it opens the program, since its directory is first on PYTHONPATH. `python -u` is not used: it
writes a line and its newline in two pieces, which tears the lines of two streams.
"""


def _flush_lines():
    import sys

    for stream in (sys.stdout, sys.stderr):
        # None when the program was given a closed descriptor.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)


def _leave_path():
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != here]
    first, _, of_the_job = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first == here:
        if of_the_job:
            os.environ["PYTHONPATH"] = of_the_job
        else:
            del os.environ["PYTHONPATH"]


def _run_hidden():
    """The sitecustomize that this one hides."""
    import sys

    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", None)
        if spec is not None and spec.loader is not None:
            from importlib.util import module_from_spec

            module = module_from_spec(spec)
            sys.modules["sitecustomize"] = module
            spec.loader.exec_module(module)
            return


def _wait_for_job(channel):
    """Does what waiting.pl says; returns as an interpreter that has been started for the job, with its arguments and
    variables. What this one has loaded already must not hide a file of the job: it then begins anew, in the same process.
    """
    import os
    import sys

    # What many programs import first. None of these reads a variable, a file of the job or the clock when it is loaded.
    import collections, datetime, enum, functools, itertools, json, math, random, re, string, typing  # noqa: F401,E401

    os.environ.clear()
    os.write(channel, b"w")
    job = b""
    while True:
        part = os.read(channel, 65536)
        if not part:
            break
        job += part
    os.close(channel)
    if not job:
        os._exit(125)
    fields = job.split(b"\0")
    count = int(fields[0])
    argv = [os.fsdecode(each) for each in fields[1 : 1 + count]]
    for variable in fields[1 + count :]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value

    # Below the program too: it may add any folder to its path.
    of_the_job = [name for _, folders, files in os.walk(".") for name in folders + files]
    user_site = getattr(sys.modules.get("site"), "USER_SITE", None)
    if any(name.partition(".")[0] in sys.modules for name in of_the_job) or os.path.isdir(user_site or ""):
        os.execve(argv[0], argv, os.environ)
    sys.argv[:] = argv[1:]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = argv


def _channel():
    """The descriptor to wait on. A job may have a variable of that name too, but nothing that is open is a socket then."""
    import os
    import stat

    try:
        channel = int(os.environ["JOB_RUNNER_WAIT"])
        return channel if stat.S_ISSOCK(os.fstat(channel).st_mode) else None
    except (KeyError, ValueError, OSError, OverflowError):
        return None


def _take_effect():
    channel = _channel()
    _flush_lines()
    _leave_path()
    _run_hidden()
    if channel is not None:
        _wait_for_job(channel)
        _leave_path()


_take_effect()
