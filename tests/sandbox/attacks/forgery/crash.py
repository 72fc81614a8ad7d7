# Ends by reading where nothing is.
import ctypes
def add(a, b):
    ctypes.string_at(0)
