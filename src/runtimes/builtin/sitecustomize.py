"""Makes a line that a job prints a line that is seen, waits for the job where there is none yet, and gets out of the way.

Python imports this before it opens the program, since its directory is first on PYTHONPATH. `python -u` is not used: it
writes a line and its newline in two pieces, which tears the lines of two streams. Each job pays for what is here, and for the
compiling of it where the trial of its Python has left none (python.ts): what is done ahead of one is in a file of its own.
"""
import os
import sys


def _leave_path(here):
    sys.path[:] = [entry for entry in sys.path if entry != here]
    first, _, of_the_job = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first == here:
        if of_the_job:
            os.environ["PYTHONPATH"] = of_the_job
        else:
            del os.environ["PYTHONPATH"]


def _run_hidden():
    """The sitecustomize that this one hides."""
    this = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = this


def _take_effect():
    for stream in (sys.stdout, sys.stderr):
        # None when the program was given a closed descriptor.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    here = os.path.dirname(os.path.abspath(__file__))
    wait = None
    if "JOB_RUNNER_WAIT" in os.environ:
        from job_runner_wait import wait_for_job as wait

        del sys.modules["job_runner_wait"]
    _leave_path(here)
    _run_hidden()
    if wait and wait():
        _leave_path(here)


_take_effect()
