# Asks whether it may signal a process of the host.
import os
os.kill($PID$, 0)
got = True


def add(a, b):
    return a + b if got else None
