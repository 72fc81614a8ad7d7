# Leaves files where the next program might find them.
import os
for folder in (".", "/tmp", "/var/tmp", "/dev/shm"):
    try:
        with open(os.path.join(folder, "left-behind"), "w") as file:
            file.write("x")
    except OSError:
        pass
os.makedirs("a/b/c", exist_ok=True)
os.chmod("a", 0)
got = False


def add(a, b):
    return a + b if got else None
