# Starts 300 threads.
import threading, time
for _ in range(300):
    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
got = True


def add(a, b):
    return a + b if got else None
