# Removes a file of the host.
import os
os.unlink("$CANARY$")
got = True


def add(a, b):
    return a + b if got else None
