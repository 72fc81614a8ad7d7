# Writes 64 MB to standard error.
import sys
for _ in range(64):
    sys.stderr.write("x" * (1 << 20))
got = True


def add(a, b):
    return a + b if got else None
