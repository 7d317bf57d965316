#!/usr/bin/env python3
"""An input file goes in, an artifact comes out. A client in Python without any package."""

import hashlib
import json
import os
import pathlib
import urllib.request
import uuid

HERE = pathlib.Path(__file__).parent
SERVER = os.environ.get("JOB_RUNNER_URL", "http://127.0.0.1:8000")

EXPECTED = """\
region,units,revenue
north,17,42.50
south,18,51.25
west,20,25.00
"""


def multipart(parts):
    """The body and type of a multipart/form-data request; a part is (field, file name or None, bytes)."""
    boundary = uuid.uuid4().hex
    body = b""
    for field, filename, content in parts:
        name = f'name="{field}"' + (f'; filename="{filename}"' if filename else "")
        body += f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode()
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def get(path):
    with urllib.request.urlopen(SERVER + path, timeout=30) as answer:
        return answer.read()


def submit():
    body, content_type = multipart(
        [
            ("spec", None, json.dumps({"entry": "summarize.py", "timeout_sec": 20}).encode()),
            ("code_files", "summarize.py", (HERE / "summarize.py").read_bytes()),
            # A file's name may be a path: the program finds it there.
            ("input_files", "data/sales.csv", (HERE / "sales.csv").read_bytes()),
        ]
    )
    request = urllib.request.Request(SERVER + "/jobs", body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


def check(what, actual, expected):
    if actual != expected:
        raise SystemExit(f"csv-summary: {what} is {actual!r}, not {expected!r}")


job_id = submit()
get(f"/jobs/{job_id}/logs/stream")  # is there in full once the job has ended
job = json.loads(get(f"/jobs/{job_id}"))
check("the status", (job["status"], job["exit_code"]), ("succeeded", 0))
check("the log", get(f"/jobs/{job_id}/logs"), b"3 regions summed\n")

# The input did not change, so it is no artifact.
artifacts = json.loads(get(f"/jobs/{job_id}/artifacts"))["items"]
check("the list of artifacts", [artifact["name"] for artifact in artifacts], ["summary.csv"])
content = get(artifacts[0]["url"])
check("the checksum", hashlib.sha256(content).hexdigest(), artifacts[0]["sha256"])
check("summary.csv", content.decode().replace("\r\n", "\n"), EXPECTED)
print(content.decode(), end="")
