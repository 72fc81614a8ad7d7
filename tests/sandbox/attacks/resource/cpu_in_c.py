# An endless computation inside one C call, which no signal handler interrupts.
def add(a, b):
    return sum(range(10**14))
