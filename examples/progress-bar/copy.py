"""Runs as a job: a progress bar that overwrites itself, as many programs draw one."""

import time

STEPS = 20

for step in range(STEPS + 1):
    bar = "#" * step + "." * (STEPS - step)
    print(f"\r[{bar}] {100 * step // STEPS:3}%", end="", flush=True)
    time.sleep(0.1)
print("\ncopied")
