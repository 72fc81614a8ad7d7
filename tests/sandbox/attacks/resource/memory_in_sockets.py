# Keeps memory in the buffers of sockets.
import socket
pairs = [socket.socketpair() for _ in range(300)]
got = True


def add(a, b):
    return a + b if got else None
