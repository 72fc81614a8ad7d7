# Sleeps instead of computing.
import time
def add(a, b):
    time.sleep(120)
