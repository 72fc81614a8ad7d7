# Gives a number that is unequal to itself.
def add(a, b):
    return float("nan")
