import sys

print(f"{sys.argv[1]}, {sys.stdin.read()}")
