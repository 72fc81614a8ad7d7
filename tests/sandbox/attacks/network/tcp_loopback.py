# Connects to a server on the host's loopback.
import socket
socket.create_connection(("127.0.0.1", $PORT$), timeout=2).close()
got = True


def add(a, b):
    return a + b if got else None
