#!/usr/bin/env python3
"""A connection that breaks again and again loses nothing: Last-Event-ID goes on exactly where it broke."""

import json
import os
import pathlib
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
SERVER = os.environ.get("JOB_RUNNER_URL", "http://127.0.0.1:8000")
EVENTS_PER_CONNECTION = 25
MAX_CONNECTIONS = 100


def submit():
    spec = json.dumps({"entry": "count.py", "timeout_sec": 20})
    source = (HERE / "count.py").read_text()
    body = (
        f'--cut\r\nContent-Disposition: form-data; name="spec"\r\n\r\n{spec}\r\n'
        '--cut\r\nContent-Disposition: form-data; name="code_files"; filename="count.py"\r\n\r\n'
        f"{source}\r\n--cut--\r\n"
    ).encode()
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    request = urllib.request.Request(SERVER + "/jobs", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


def events(job_id, last_event_id):
    """(id, name, data) of each event of one connection; None once the server says that there is nothing to come."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    url = f"{SERVER}/jobs/{job_id}/logs/stream"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        if answer.status == 204:
            yield None
            return
        event = {}
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event:
                if "data" in event:
                    yield event.get("id"), event.get("event", "message"), event["data"]
                event = {}


job_id = submit()
lines, connections, last_id, end, is_over = [], 0, None, None, False
while not is_over:
    connections += 1
    if connections > MAX_CONNECTIONS:
        raise SystemExit("resume: the stream does not come to its end")
    for count, event in enumerate(events(job_id, last_id), start=1):
        if event is None:
            is_over = True
            break
        last_id, name, data = event
        if name == "message":
            lines.append(data)
        if name == "end":
            end = json.loads(data)
        if count == EVENTS_PER_CONNECTION:
            break  # the connection is dropped, whatever was still to come on it

with urllib.request.urlopen(f"{SERVER}/jobs/{job_id}/logs", timeout=30) as answer:
    snapshot = answer.read().decode().splitlines()
if lines != snapshot or len(lines) != 200:
    raise SystemExit(f"resume: {len(lines)} lines came of the {len(snapshot)} in the snapshot")
if end is None or end["status"] != "succeeded":
    raise SystemExit(f"resume: the stream ended with {end}")
print(f"resume: {len(lines)} lines in {connections} connections, each exactly once")
