# Asks a web server on the loopback.
import urllib.request
urllib.request.urlopen("http://127.0.0.1:$PORT$/", timeout=2)
got = True


def add(a, b):
    return a + b if got else None
