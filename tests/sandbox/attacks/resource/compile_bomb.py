# A constant expression that unfolds to gigabytes while it is compiled.
got = len(eval("(" * 90 + "1" + ",)" * 90 + "*10" * 3)) > 0 and bool(compile("x = " + "[" * 50 + "]" * 50, "", "exec"))
got = got and len("a" * 10**10) > 0


def add(a, b):
    return a + b if got else None
