# Takes 3 GiB in one piece.
block = b"x" * (3 << 30)
got = True


def add(a, b):
    return a + b if got else None
