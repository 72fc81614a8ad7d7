# Becomes another user.
import os
os.setgroups([])
os.setuid(0)
got = True


def add(a, b):
    return a + b if got else None
