# Links a file of the host into its own folder.
import os
os.link("$CANARY$", "link")
got = True


def add(a, b):
    return a + b if got else None
