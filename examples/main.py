"""The README's program: prints a line every half second, and leaves a file behind."""

import sys
import time

with open("squares.csv", "w") as table:
    print("n,square", file=table)
    for n in range(1, 4):
        print(f"{n} squared is {n * n}")
        print(f"{n},{n * n}", file=table)
        time.sleep(0.5)

print("squares.csv is written", file=sys.stderr)
