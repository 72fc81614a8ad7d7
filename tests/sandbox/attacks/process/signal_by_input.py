# Has the kernel signal another process when input comes.
import fcntl, os
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETOWN, $PID$)
got = True


def add(a, b):
    return a + b if got else None
