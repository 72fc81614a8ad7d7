# Never comes to the definition of the function.
import itertools
for _ in itertools.count():
    pass
got = True


def add(a, b):
    return a + b if got else None
