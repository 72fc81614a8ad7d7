# Catches whatever is thrown at it and starts again.
def add(a, b):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
