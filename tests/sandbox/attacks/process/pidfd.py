# A handle of a process of the host.
import os, signal
signal.pidfd_send_signal(os.pidfd_open($PID$), 0)
got = True


def add(a, b):
    return a + b if got else None
