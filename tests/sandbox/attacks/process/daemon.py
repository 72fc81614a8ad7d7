# Leaves a process behind: double fork, session of its own.
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in range(64):
            try:
                os.close(descriptor)
            except OSError:
                pass
        time.sleep(25)
    os._exit(0)
got = False


def add(a, b):
    return a + b if got else None
