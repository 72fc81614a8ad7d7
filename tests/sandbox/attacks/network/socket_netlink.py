# A socket to the kernel's own (netlink).
import socket
socket.socket(16, socket.SOCK_RAW if 16 < 20 else socket.SOCK_STREAM)
got = True


def add(a, b):
    return a + b if got else None
