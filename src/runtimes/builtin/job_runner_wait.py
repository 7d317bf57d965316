"""Has a started Python wait for its job, before it opens its program. Read by sitecustomize.py where there is no job yet."""
import os
import stat
import sys

from job_runner_end import freeze_what_is_loaded

del sys.modules["job_runner_end"]

# What many programs import first. None of these reads a variable, a file of the job or the clock when it is loaded.
import collections, datetime, enum, functools, itertools, json, math, random, re, string, typing  # noqa: F401,E401


def _find_channel():
    """The descriptor to wait on. A job may have a variable of that name too, but nothing that is open is a socket then."""
    try:
        channel = int(os.environ["JOB_RUNNER_WAIT"])
        return channel if stat.S_ISSOCK(os.fstat(channel).st_mode) else None
    except (KeyError, ValueError, OSError, OverflowError):
        return None


def _receive(channel):
    job = b""
    while True:
        part = os.read(channel, 65536)
        if not part:
            return job
        job += part


# Python imports from them as it does from a folder.
_ARCHIVES = (".zip", ".pyz", ".egg", ".whl")


def _is_archive(path):
    """Whether it ends like a zip, by which Python tells one whatever it is called: a record of 22 bytes, with a comment of up
    to 65535 behind it.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 22 - 65535, 0))
            return b"PK\5\6" in file.read()
    except OSError:
        # A fresh interpreter says what is wrong with it.
        return True


def _is_hidden(program):
    """Whether what is loaded already would hide a module of the job: below the program too, which may add any folder to its
    path, and in an archive, into which nobody looks here.
    """
    of_the_job = [name for _, folders, files in os.walk(".") for name in folders + files]
    if any(name.partition(".")[0] in sys.modules or name.lower().endswith(_ARCHIVES) for name in of_the_job):
        return True
    if _is_archive(program):
        return True
    user_site = getattr(sys.modules.get("site"), "USER_SITE", None)
    return bool(user_site) and os.path.isdir(user_site)


def wait_for_job():
    """Does what waiting.pl says; true as an interpreter that has been started for the job, with its arguments and variables.
    Where it cannot be one it begins anew, in the same process.
    """
    channel = _find_channel()
    if channel is None:
        return False
    if sys.version_info >= (3, 8):
        # Before that, an object may do something when it is freed that nobody can find.
        freeze_what_is_loaded()
    os.environ.clear()
    os.write(channel, b"w")
    job = _receive(channel)
    os.close(channel)
    if not job:
        os._exit(125)
    fields = job.split(b"\0")
    count = int(fields[0])
    argv = [os.fsdecode(each) for each in fields[1 : 1 + count]]
    for variable in fields[1 + count :]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    if _is_hidden(argv[1]):
        os.execve(argv[0], argv, os.environ)
    sys.argv[:] = argv[1:]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = argv
    return True
