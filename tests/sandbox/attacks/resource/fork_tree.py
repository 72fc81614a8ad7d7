# Every child forks twice, eight generations at most.
import os, time
for _ in range(8):
    os.fork()
time.sleep(10)
got = True


def add(a, b):
    return a + b if got else None
