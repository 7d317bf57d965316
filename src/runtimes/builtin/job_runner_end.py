"""Has an interpreter that waited for its job end without taking apart what it had loaded before, which takes as long as the rest
of a small program's end. Read by job_runner_wait.py.

A program must not be able to tell. It could by what it has left with one of those modules, which is not freed then: so none of
it may do anything when it is. Where that is not certain, and it need not be where a program has loaded more than was there, all
is freed as in any other interpreter. What is left to see is one event, gc.get_objects, for a hook of sys.addaudithook().
"""
import _thread
import _weakref
import atexit
import gc
import sys
from functools import partial
from operator import methodcaller, not_

# Of a program with more than these nobody looks at each when it ends, and there may be no memory left for that.
_FEW_BLOCKS = 5000
# One of these is among what a type has whose objects do something when they are freed: code of the program's, a file that is
# written to its end, the rest of a generator, a coroutine or an asynchronous generator.
_HEARING = frozenset(("__del__", "gi_frame", "cr_frame", "ag_frame"))
_PROXIES = (_weakref.ProxyType, _weakref.CallableProxyType)


class _Probe:
    """Of an object that is not frozen, unless the program has done that."""


_probes = []


def _watchers():
    """What says whether a debugger or a profiler is on, which would see any code of ours."""
    yield sys.gettrace
    yield sys.getprofile
    if hasattr(sys, "monitoring"):
        for tool in range(6):
            yield partial(sys.monitoring.get_tool, tool)


def _make_spare(spared):
    """Returns what drops the modules that are loaded now, and notes in `spared` that it did. It has all its names at hand: by the
    end the program may have put its own in their places, and is not to be called by way of them.
    """
    modules, stdout, stderr = sys.modules, sys.stdout, sys.stderr
    names = frozenset(modules)
    loaded = [(name, module) for name, module in modules.items() if name not in ("sys", "builtins", "__main__")]
    # A cycle that no collection looks at, once it is frozen, keeps the modules.
    loaded.append(("", loaded))
    dict_of, mro_of = type.__dict__["__dict__"].__get__, type.__dict__["__mro__"].__get__
    callback_of = _weakref.ref.__callback__
    names_of, frame, threads, blocks, objects_now = modules.keys, sys._getframe, _thread._count, sys.getallocatedblocks, gc.get_objects
    a_type, a_map, a_dict, a_zip, identity, an_error, reference = type, map, dict, zip, object.__hash__, BaseException, _weakref.ref
    few_blocks, hearing, proxies, probe_type = blocks() + _FEW_BLOCKS, _HEARING, _PROXIES, identity(_Probe)

    def is_silent(objects, types):
        for each in types.values():
            for base in mro_of(each):
                if base in proxies or not hearing.isdisjoint(dict_of(base)):
                    return False
                if base is reference:
                    for weak in objects:
                        if a_type(weak) is each and callback_of.__get__(weak) is not None:
                            return False
        return True

    def spare():
        try:
            # Called by the program and not at the end; a thread that goes on may load a module once more.
            if frame().f_back is not None or threads() or sys.modules is not modules or names_of() != names:
                return
            # One of the program's is called after this.
            if sys.stdout is not stdout or sys.stderr is not stderr:
                return
            if blocks() > few_blocks:
                return
            objects = objects_now()
            types = a_dict(a_zip(a_map(identity, a_map(a_type, objects)), a_map(a_type, objects)))
            has_frozen = probe_type not in types
            if not has_frozen and not is_silent(objects, types):
                return
            spared.append(True)
            # The program has done as we do, with what nobody can see: it is left at that.
            if has_frozen:
                return
            for name, module in loaded:
                if modules.get(name) is module:
                    del modules[name]
        except an_error:
            # All is freed then.
            return

    return spare


def freeze_what_is_loaded():
    """Has no collection look at what is loaded by now, up to the program's end, and what is to be done then done. To be called when
    nothing else is registered for the end: what comes first is called last. All that is called there is written in C but the
    last, since a debugger that the program has left on would see it.
    """
    spared = []
    call = methodcaller("__call__")
    atexit.register(all, map(call, (partial(not_, spared), gc.unfreeze)))
    atexit.register(any, map(call, (*_watchers(), _make_spare(spared))))
    gc.collect()
    gc.freeze()
    _probes.append(_Probe())
