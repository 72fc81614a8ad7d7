# A file of 1 TB with nothing in it.
import os
descriptor = os.open("sparse", os.O_CREAT | os.O_RDWR)
os.ftruncate(descriptor, 1 << 40)
got = True


def add(a, b):
    return a + b if got else None
