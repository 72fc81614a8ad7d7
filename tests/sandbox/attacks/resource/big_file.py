# Writes a file of 256 MB.
with open("big", "wb") as file:
    for _ in range(256):
        file.write(b"x" * (1 << 20))
got = True


def add(a, b):
    return a + b if got else None
