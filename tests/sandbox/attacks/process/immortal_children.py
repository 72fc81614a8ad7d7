# Children that ignore every signal that can be ignored.
import os, signal, time
for _ in range(5):
    if os.fork() == 0:
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        time.sleep(25)
        os._exit(0)
got = False


def add(a, b):
    return a + b if got else None
