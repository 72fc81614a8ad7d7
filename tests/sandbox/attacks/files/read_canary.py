# Reads a file of the host that every user may read.
with open("$CANARY$") as file:
    got = bool(file.read(1))


def add(a, b):
    return a + b if got else None
