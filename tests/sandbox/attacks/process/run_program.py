# Runs a program.
import subprocess, sys
got = subprocess.run([sys.executable, "-c", "pass"]).returncode == 0


def add(a, b):
    return a + b if got else None
