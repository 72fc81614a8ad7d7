# Writes beside the root of the file system.
with open("/left-by-the-program", "w") as file:
    file.write("x")
got = True


def add(a, b):
    return a + b if got else None
