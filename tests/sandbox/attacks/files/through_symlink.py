# Reads a file of the host through a symbolic link.
import os
os.symlink("$CANARY$", "link")
with open("link") as file:
    got = bool(file.read(1))


def add(a, b):
    return a + b if got else None
