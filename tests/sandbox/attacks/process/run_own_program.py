# Writes a program and runs it.
import os, stat
with open("program", "w") as file:
    file.write("#!/bin/sh\ntrue\n")
os.chmod("program", 0o755)
got = os.spawnv(os.P_WAIT, "./program", ["program"]) == 0


def add(a, b):
    return a + b if got else None
