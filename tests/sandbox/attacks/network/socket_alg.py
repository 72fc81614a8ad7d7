# A socket to the kernel's ciphers.
import socket
socket.socket(38, socket.SOCK_RAW if 38 < 20 else socket.SOCK_STREAM)
got = True


def add(a, b):
    return a + b if got else None
