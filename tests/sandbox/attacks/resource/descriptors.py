# Opens 2,000 files.
files = [open("/dev/null") for _ in range(2000)]
got = True


def add(a, b):
    return a + b if got else None
