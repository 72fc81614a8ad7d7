# Changes a file of the host.
with open("$CANARY$", "w") as file:
    file.write("changed")
got = True


def add(a, b):
    return a + b if got else None
