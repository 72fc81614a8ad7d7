# Shared memory of the old kind, which outlives its maker.
import ctypes
libc = ctypes.CDLL(None)
number = libc.shmget(0, 1 << 20, 0o1600)
got = number >= 0
if got:
    libc.shmctl(number, 0, None)


def add(a, b):
    return a + b if got else None
