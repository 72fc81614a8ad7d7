# An endless loop in Python.
def add(a, b):
    while True:
        pass
