# Changes the times and the attributes of a file that it may not open.
import os

got = False
for action in (lambda: os.utime("$CANARY$", (0, 0)), lambda: os.setxattr("$CANARY$", "user.x", b"x")):
    try:
        action()
        got = True
    except OSError:
        pass


def add(a, b):
    return a + b if got else None
