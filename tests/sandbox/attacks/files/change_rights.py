# Changes the rights of a file that it may not open.
import os

os.chmod("$CANARY$", 0o600)
got = True


def add(a, b):
    return a + b if got else None
