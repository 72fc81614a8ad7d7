# Runs a shell.
import os
got = os.system("true") == 0


def add(a, b):
    return a + b if got else None
