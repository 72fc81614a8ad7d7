# Reads /etc/machine-id.
with open("/etc/machine-id") as file:
    got = bool(file.read(1))


def add(a, b):
    return a + b if got else None
