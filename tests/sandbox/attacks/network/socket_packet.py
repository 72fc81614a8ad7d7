# A socket to raw packets.
import socket
socket.socket(17, socket.SOCK_RAW if 17 < 20 else socket.SOCK_STREAM)
got = True


def add(a, b):
    return a + b if got else None
