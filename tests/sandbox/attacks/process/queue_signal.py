# A signal with a value, by another system call.
import ctypes, platform
info = (ctypes.c_int * 32)(0, 0, -1)
number = {"x86_64": 129, "aarch64": 138}[platform.machine()]
got = ctypes.CDLL(None).syscall(number, $PID$, 0, ctypes.byref(info)) == 0


def add(a, b):
    return a + b if got else None
