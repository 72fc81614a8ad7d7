# Maps 4 GiB without a file.
import mmap
area = mmap.mmap(-1, 4 << 30)
got = True


def add(a, b):
    return a + b if got else None
