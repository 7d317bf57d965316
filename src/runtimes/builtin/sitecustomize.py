"""Makes a line that a job prints a line that is seen, then gets out of the way.

Python imports this before the program, since its directory is first on PYTHONPATH. `python -u` is not used: it writes
a line and its newline in two pieces, which tears the lines of two streams.
"""


def _take_effect():
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        # None when the program was given a closed descriptor.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != here]
    first, _, of_the_job = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first == here:
        if of_the_job:
            os.environ["PYTHONPATH"] = of_the_job
        else:
            del os.environ["PYTHONPATH"]

    # The sitecustomize that this one hides.
    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", None)
        if spec is not None and spec.loader is not None:
            from importlib.util import module_from_spec

            module = module_from_spec(spec)
            sys.modules["sitecustomize"] = module
            spec.loader.exec_module(module)
            return


_take_effect()
