# Reads /etc/passwd.
with open("/etc/passwd") as file:
    got = bool(file.read(1))


def add(a, b):
    return a + b if got else None
