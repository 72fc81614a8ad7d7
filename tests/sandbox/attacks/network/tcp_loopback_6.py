# The same over IPv6.
import socket
sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
sock.settimeout(2)
sock.connect(("::1", $PORT$))
got = True


def add(a, b):
    return a + b if got else None
