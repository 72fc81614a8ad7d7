# A socket of the host with a place in the file system.
import socket
sock = socket.socket(socket.AF_UNIX)
sock.connect("$CANARY$.socket")
got = True


def add(a, b):
    return a + b if got else None
