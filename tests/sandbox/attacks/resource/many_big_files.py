# Writes 40 files of 8 MB and waits to be seen.
import time
for number in range(40):
    with open(f"part{number}", "wb") as file:
        file.write(b"x" * (8 << 20))
time.sleep(1)
got = True


def add(a, b):
    return a + b if got else None
