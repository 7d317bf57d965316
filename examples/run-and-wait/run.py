#!/usr/bin/env python3
"""One request in, the result out: a job as JSON, and `Prefer: wait`. A client in Python without any package."""

import json
import os
import pathlib
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
SERVER = os.environ.get("JOB_RUNNER_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("JOB_RUNNER_KEY")
WAIT_SEC = 30


class Problem(Exception):
    """What the server refused a request with (RFC 9457); `code` is stable."""

    def __init__(self, body):
        super().__init__(f"{body['status']} {body['code']}: {body['detail']}")
        self.code = body["code"]
        self.fields = [error["pointer"] for error in body["errors"]]


def call(method, path, body=None, headers=()):
    """The answer's body, as bytes. Raises Problem."""
    request = urllib.request.Request(SERVER + path, method=method, headers=dict(headers))
    if KEY:
        request.add_header("Authorization", f"Bearer {KEY}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=2 * WAIT_SEC) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise Problem(json.load(error)) from None


def run(source, **spec):
    """Runs a program to its end; the job, with `stdout` and `stderr`."""
    body = {"entry": "main.py", "files": [{"path": "main.py", "content": source}], **spec}
    job = json.loads(call("POST", "/jobs", body, {"Prefer": f"wait={WAIT_SEC}"}))
    # One that takes longer is waited for once more, and so on.
    while job["status"] in ("queued", "running"):
        job = json.loads(call("GET", f"/jobs/{job['id']}?wait={WAIT_SEC}"))
    for stream in ("stdout", "stderr"):
        if stream not in job:
            job[stream] = call("GET", f"/jobs/{job['id']}/logs?stream={stream}").decode()
    return job


def check(what, actual, expected):
    if actual != expected:
        raise SystemExit(f"run-and-wait: {what} is {actual!r}, not {expected!r}")


source = (HERE / "greet.py").read_text()
job = run(source, args=["hello"], stdin="all of you")
check("the status", job["status"], "succeeded")
check("what it printed", job["stdout"], "hello, all of you\n")
log = call("GET", f"/jobs/{job['id']}/logs").decode()
check("the log", log, job["stdout"])

failed = run("raise SystemExit('no')")
check("how a failure ends", (failed["status"], failed["reason"]), ("failed", "exit_code"))
check("what it complained of", failed["stderr"], "no\n")

try:
    run(source, timeout=20)
    raise SystemExit("run-and-wait: a misspelt field was taken")
except Problem as problem:
    check("the refusal", (problem.code, problem.fields), ("invalid_spec", ["/timeout"]))
print(f"run-and-wait: {log}", end="")
