"""Runs as a job: counts on both outputs."""

import sys

for n in range(1, 201):
    if n % 10 == 0:
        print(f"{n} is a multiple of ten", file=sys.stderr)
    else:
        print(f"line {n}")
