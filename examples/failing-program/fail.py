"""Runs as a job and comes to the end that its argument names."""

import os
import signal
import sys
import time

print("so far so good")
how = sys.argv[1]
if how == "exit":
    sys.exit(3)
if how == "signal":
    os.kill(os.getpid(), signal.SIGSEGV)
if how == "sleep":
    time.sleep(60)
if how == "spin":
    while True:
        pass
