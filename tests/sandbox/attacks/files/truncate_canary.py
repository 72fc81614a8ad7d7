# Empties a file without opening it, renames it and its folder.
import os

got = False
for action in (
    lambda: os.truncate("$CANARY$", 0),
    lambda: os.rename("$CANARY$", "$CANARY$.away"),
    lambda: os.symlink("/nowhere", "$CANARY$.link"),
    lambda: os.mkfifo("$CANARY$.pipe"),
):
    try:
        action()
        got = True
    except OSError:
        pass


def add(a, b):
    return a + b if got else None
