# Loads code into the kernel.
import ctypes, platform
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
got = ctypes.CDLL(None).syscall(number, 0, 0, 0) >= 0


def add(a, b):
    return a + b if got else None
