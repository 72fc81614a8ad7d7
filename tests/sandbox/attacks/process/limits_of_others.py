# Changes the limits of a process of the host.
import resource
soft = resource.prlimit($PID$, resource.RLIMIT_NOFILE)
got = True


def add(a, b):
    return a + b if got else None
