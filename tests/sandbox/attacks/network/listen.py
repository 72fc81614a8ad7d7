# Listens for others.
import socket
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
got = True


def add(a, b):
    return a + b if got else None
