"""The seccomp filter: which system calls a program cannot make.

    jail = seccomp.assemble()                 # once
    syscalls.set_seccomp_filter(jail)         # in each child, after its last privileged call

The calls known by name below are refused, every call numbered above 424 that is not named is unknown to the C library
("not implemented", so that it takes the older way), and all others are let through: what is numbered lower is a closed
list, and what of it is not refused acts on the process's own memory, files and children only.

Assembled by us, not by libseccomp: its bindings are neither in the standard library nor on PyPI without the C library
beside them, and loading a filter through it costs 0.3 ms where these bytes cost a tenth.
"""

from __future__ import annotations

import errno
import struct

from sandbox.syscalls import MACHINE

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_EPERM = 0x00050000 | errno.EPERM
_ENOSYS = 0x00050000 | errno.ENOSYS
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_LOAD, _JUMP, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; an argument has 8 bytes, the low half first

# name: number on x86_64, on aarch64 (-1: not there)
_REFUSED = {
    # network: the namespace has none; without one this is what stops it
    "socket": (41, 198), "bind": (49, 200), "listen": (50, 201), "connect": (42, 203), "accept": (43, 202),
    "accept4": (288, 242),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "mbind": (237, 235), "set_mempolicy": (238, 237),
    # new programs: none is needed, and each would be new surface
    "execve": (59, 221), "execveat": (322, 281), "uselib": (134, -1), "personality": (135, 92),
    # namespaces and mounts
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "quotactl": (179, 60), "vhangup": (153, 58),
    # what outlives the program, or holds memory that no limit counts
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # the kernel's own workings
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "seccomp": (317, 277),
    "vmsplice": (278, 75), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "create_module": (174, -1), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "syslog": (103, 116), "lookup_dcookie": (212, 18),
    "_sysctl": (156, -1), "sysfs": (139, -1), "nfsservctl": (180, 42), "iopl": (172, -1), "ioperm": (173, -1),
    "modify_ldt": (154, -1),
    # the host's clock and names
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
# Of files it may not open, a program can still change the rights, the owner and the times: Landlock does not look at
# that. Where a mount namespace makes all files but its own read-only, this need not be refused.
_REFUSED_BESIDE_HOST_FILES = {
    "chmod": (90, -1), "fchmodat": (268, 53), "chown": (92, -1), "lchown": (94, -1), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "removexattr": (197, 14), "lremovexattr": (198, 15),
}  # fmt: skip
_BY_ARGUMENT = {
    "socketpair": (53, 199), "prctl": (157, 167), "clone": (56, 220), "ioctl": (16, 29), "fcntl": (72, 25),
    "prlimit64": (302, 261), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
}  # fmt: skip
_FIRST_UNIFIED = 424  # from here on one number for every machine
_ALLOWED_UNIFIED = {
    "close_range": 436, "faccessat2": 439, "epoll_pwait2": 441, "futex_waitv": 449, "fchmodat2": 452,
    "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455, "futex_requeue": 456,
}  # fmt: skip

_AF_UNIX = 1
# names of threads and of memory, and three questions
_PRCTL_ALLOWED = (15, 16, 0x53564D41, 3, 21, 23)
# every new namespace; PTRACE and PARENT, which would put a child where its parent does not see it
_CLONE_REFUSED = 0x7E020000 | 0x00002000 | 0x00008000
_IOCTL_REFUSED = (0x5412, 0x541C, 0x8901, 0x8902)  # push input into a terminal (TIOCSTI, TIOCLINUX); own SIGIO
_FCNTL_REFUSED = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal to another process


def supported() -> bool:
    return MACHINE in ARCHITECTURES


def assemble(only_pid: int | None = None) -> bytes:
    """The filter as bytes. `only_pid`: the one process that may be signalled, where no namespaces hide the host."""
    column = list(ARCHITECTURES).index(MACHINE)
    refused = _REFUSED if only_pid is None else _REFUSED | _REFUSED_BESIDE_HOST_FILES
    answers = {numbers[column]: [_op(_RETURN, _EPERM)] for numbers in refused.values() if numbers[column] >= 0}
    answers |= {_BY_ARGUMENT[name][column]: rule for name, rule in _argument_rules(only_pid).items()}
    unified = {number: [_op(_RETURN, _ALLOW)] for number in _ALLOWED_UNIFIED.values()}
    if only_pid is not None:
        del unified[_ALLOWED_UNIFIED["fchmodat2"]]
    old, new = _search(sorted(answers.items()), _ALLOW), _search(sorted(unified.items()), _ENOSYS)
    code = [_op(_LOAD, _ARCH), _op(_JEQ, ARCHITECTURES[MACHINE], 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NR)]
    if MACHINE == "x86_64":  # the x32 calls are the same ones under other numbers
        code += [_op(_JGE, 0x40000000, 0, 1), _op(_RETURN, _KILL)]
    return b"".join([*code, _op(_JGE, _FIRST_UNIFIED, 0, len(new)), *new, *old])


def _search(answers: list[tuple[int, list[bytes]]], otherwise: int) -> list[bytes]:
    """A binary search for the number, since the kernel walks the filter once for every number when it is loaded."""
    if not answers:
        return [_op(_RETURN, otherwise)]
    if len(answers) == 1:
        ((number, answer),) = answers
        return [_op(_JEQ, number, 0, len(answer)), *answer, _op(_RETURN, otherwise)]
    middle = len(answers) // 2
    low, high = _search(answers[:middle], otherwise), _search(answers[middle:], otherwise)
    # A conditional jump reaches 255 lines, the plain one anywhere.
    return [_op(_JGE, answers[middle][0], 0, 1), _op(_JUMP, len(low)), *low, *high]


def _argument_rules(only_pid: int | None) -> dict[str, list[bytes]]:
    rules = {
        "socketpair": _unless(0, (_AF_UNIX,), _EPERM),
        "prctl": _unless(0, _PRCTL_ALLOWED, _EPERM),
        "clone": [_argument(0), _op(_JSET, _CLONE_REFUSED, 0, 1), _op(_RETURN, _EPERM), _op(_RETURN, _ALLOW)],
        "ioctl": _when(1, _IOCTL_REFUSED, _EPERM),
        "fcntl": _when(1, _FCNTL_REFUSED, _EPERM),
        "prlimit64": _unless(0, (0,), _EPERM),
    }
    if only_pid is not None:
        rules |= {name: _unless(0, (only_pid,), _EPERM) for name in ("kill", "tkill", "tgkill")}
    return rules


def _unless(argument: int, values: tuple[int, ...], answer: int) -> list[bytes]:
    tests = [_op(_JEQ, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [_argument(argument), *tests, _op(_RETURN, answer), _op(_RETURN, _ALLOW)]


def _when(argument: int, values: tuple[int, ...], answer: int) -> list[bytes]:
    return [*_unless(argument, values, _ALLOW)[:-1], _op(_RETURN, answer)]


def _argument(place: int) -> bytes:
    return _op(_LOAD, _ARGUMENTS + 8 * place)


def _op(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand & 0xFFFFFFFF)
