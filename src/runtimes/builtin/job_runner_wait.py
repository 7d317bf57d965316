"""Has a started Python wait for its job, before it opens its program. Read by sitecustomize.py where there is no job yet."""
import _thread
import atexit
import gc
import os
import stat
import sys

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


# Of a program with more objects than this nobody looks at each when it ends.
_FEW_OBJECTS = 2000
# A program's metaclass may have a say in how its classes are asked for anything.
_dict_of = type.__dict__["__dict__"].__get__
_mro_of = type.__dict__["__mro__"].__get__


# Of these one is among what a type has whose objects do something when they are freed: code of the program's, a file that is
# written to its end, the rest of a generator, a coroutine or an asynchronous generator.
_HEARING = {"__del__", "gi_frame", "cr_frame", "ag_frame"}


def _hears_of_its_end(objects):
    types = {id(type(each)): type(each) for each in objects}
    return any(not _HEARING.isdisjoint(_dict_of(base)) for each in types.values() for base in _mro_of(each))


def _spare_at_the_end():
    """What is loaded by now is not taken apart when the interpreter ends, which takes as long as the whole end of a small program.
    Called first, so that it is done last: after every handler of the program's. Nobody can tell the difference but an object
    that the program has left with one of these modules and that hears of its own end: where there is any that does, or a
    thread that goes on, all is freed as ever.
    """
    loaded = [(name, module) for name, module in sys.modules.items() if name not in ("sys", "builtins", "__main__")]
    # It holds itself, and is frozen: nothing frees it.
    loaded.append(("", loaded))

    def spare():
        objects = gc.get_objects()
        if _thread._count() or len(objects) > _FEW_OBJECTS or _hears_of_its_end(objects):
            gc.unfreeze()
            return
        for name, module in loaded:
            if sys.modules.get(name) is module:
                del sys.modules[name]

    atexit.register(spare)


def wait_for_job():
    """Does what waiting.pl says; true as an interpreter that has been started for the job, with its arguments and variables.
    Where it cannot be one it begins anew, in the same process.
    """
    channel = _find_channel()
    if channel is None:
        return False
    # What is there by now stays to the end: no collection of the program's, nor the last one, has to look at it.
    if hasattr(gc, "freeze"):
        _spare_at_the_end()
        gc.collect()
        gc.freeze()
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
