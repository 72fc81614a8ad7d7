# Stops itself with all its threads.
import os, signal
def add(a, b):
    os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(0, signal.SIGSTOP)
