# Nests until the C stack runs over.
import sys
sys.setrecursionlimit(10**8)
nested = []
for _ in range(10**6):
    nested = [nested]
def add(a, b):
    return nested == [nested]
