# Takes memory block by block, 4 GiB at most.
got, blocks = False, []
for _ in range(64):
    blocks.append(bytearray(b"x") * (64 << 20))
got = True


def add(a, b):
    return a + b if got else None
