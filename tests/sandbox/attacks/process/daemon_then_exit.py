# Leaves a process behind and ends at once.
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(25)
os._exit(0)


def add(a, b):
    return a + b if got else None
