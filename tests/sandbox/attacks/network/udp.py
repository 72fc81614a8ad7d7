# Sends a datagram to the host's loopback.
import socket
got = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", $PORT$)) == 1


def add(a, b):
    return a + b if got else None
