# Waits for a lock that it holds.
import threading
lock = threading.Lock()
lock.acquire()
def add(a, b):
    lock.acquire(timeout=120)
