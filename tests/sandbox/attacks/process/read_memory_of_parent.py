# Reads its parent's memory.
import os
got = False
for pid in (os.getppid(), $PID$):
    if pid > 0:
        with open(f"/proc/{pid}/mem", "rb") as file:
            got = True


def add(a, b):
    return a + b if got else None
