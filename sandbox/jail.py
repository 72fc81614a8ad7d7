"""What is taken away from a program: files, network, processes, memory, privileges.

Two halves, both in the fork server (fork_server.py), never in a process of the caller's:

    jail = enter("full", packages)      # once for each server: namespaces, a read-only root, the filters made ready
    jail.confine(limits)                # in each forked child: its own folder and /proc, limits, no way back

Levels, the strongest first:

    full      user, pid, mount, network, ipc and uts namespaces, Landlock where the kernel has it, seccomp, rlimits
    landlock  Landlock, seccomp, rlimits: for hosts that forbid user namespaces
    weak      rlimits and whatever else holds: only by name, never chosen

Not protected from: bugs in the kernel, side channels, and what docs/sandbox.md lists.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import socket
import sys
import sysconfig
from collections.abc import Iterator

from sandbox import seccomp, syscalls
from sandbox.outcome import Limits

LEVELS = ("full", "landlock", "weak")
FOLDER = "/box/tmp"  # the program's own, inside a mount namespace; /tmp is a link to it
_PACKAGES = "/packages"
_INNER_ID = 1000  # user and group as the program sees itself
_OWN_IDS = range(400_000, 500_000)  # ids that no distribution gives out, one for each server of root's
_NOBODY = 65534
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_NEW_ROOT = "/sys"  # any folder that every host has and that holds nothing we bind: covered by the new root

# Landlock's rights (linux/landlock.h)
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by version: all known then
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14


class Unconfined(Exception):
    """A layer that this level needs does not hold; the message says which and why."""


class Jail:
    """The layers that hold in this server, and how a forked child goes behind the last of them."""

    def __init__(self, level: str, layers: list[str], *, folder: str, owner: int | None, has_proc: bool) -> None:
        self.level = level
        self.layers = layers
        self.folder = folder
        self._owner = owner  # the user that a child becomes where no user namespace does that
        self._has_proc = has_proc
        self._ruleset = -1
        self._own_pid_namespace = -1
        self._filter = seccomp.assemble() if seccomp.supported() else b""
        self._other_tasks = 0

    def fork(self) -> int:
        """os.fork into a pid namespace of the child's own, where there are namespaces."""
        if self.level == "full":
            # A process can prepare a namespace only from the one it is in itself: go back there first.
            syscalls.setns(self._own_pid_namespace, syscalls.CLONE_NEWPID)
            syscalls.unshare(syscalls.CLONE_NEWPID)
        return os.fork()

    def confine(self, limits: Limits) -> None:
        """Give up, in a fresh child, everything that a program must not have. There is no way back."""
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        if self.level == "full":
            syscalls.unshare(syscalls.CLONE_NEWNS)
            size = f"size={limits.max_file_bytes},nr_inodes=4096,mode=0700"
            syscalls.mount("tmpfs", self.folder, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, size)
            if self._has_proc:
                flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
                syscalls.mount("proc", "/proc", "proc", flags, "subset=pid")
        os.chdir(self.folder)
        self._set_limits(limits)
        if self._owner is not None:
            os.setgroups([])
            os.setresgid(self._owner, self._owner, self._owner)
            os.setresuid(self._owner, self._owner, self._owner)
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user forgets it
        syscalls.drop_capabilities()
        if self._ruleset >= 0:
            syscalls.landlock_restrict(self._ruleset)
        if self._filter:
            only_pid = None if self.level == "full" else os.getpid()
            syscalls.set_seccomp_filter(self._filter if only_pid is None else seccomp.assemble(only_pid))

    def clean(self) -> None:
        """Empty the private folder: of the next program nothing of this one's may be seen."""
        if self.level == "full":
            return  # it was a mount of the child's, and went with it
        import shutil

        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, onerror=_open_and_retry)
            else:
                os.unlink(entry.path)

    @property
    def scratch(self) -> str:
        """What this jail made on the host's disk; "" for nothing. The runner removes it if the server cannot."""
        return "" if self.level == "full" else os.path.dirname(self.folder)

    def remove_scratch(self) -> None:
        if self.scratch:
            import shutil

            shutil.rmtree(self.scratch, ignore_errors=True)

    def _set_limits(self, limits: Limits) -> None:
        cpu_s = math.ceil(limits.timeout_s) + 1  # whole seconds; the runner watches more closely
        processes = limits.max_processes + 1  # the server counts too
        if self.level != "full" and self._owner is None:
            processes += self._other_tasks + 256  # the user's other processes count here: the runner watches ours
        for kind, soft, hard in (
            (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
            (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
            (resource.RLIMIT_FSIZE, limits.max_file_bytes, limits.max_file_bytes),
            (resource.RLIMIT_NPROC, processes, processes),
            (resource.RLIMIT_NOFILE, 128, 128),
            (resource.RLIMIT_STACK, 64 << 20, 64 << 20),
            (resource.RLIMIT_MEMLOCK, 64 << 10, 64 << 10),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            _, ceiling = resource.getrlimit(kind)
            if ceiling != resource.RLIM_INFINITY:
                soft, hard = min(soft, ceiling), min(hard, ceiling)
            resource.setrlimit(kind, (soft, hard))

    def prepare_filters(self, readable: list[str]) -> None:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        version = syscalls.landlock_version()
        if version:
            self._ruleset = _make_ruleset(version, readable, self.folder)
            self.layers.append(f"landlock-{version}")
        if self._filter:
            self.layers.append("seccomp")
        self.layers.append("rlimits")
        if self.level == "full":
            self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        elif self._owner is None:
            self._other_tasks = _count_tasks(os.getuid())
        missing = [name for name, holds in (("seccomp", bool(self._filter)), ("Landlock", version > 0)) if not holds]
        if self.level == "full" and "seccomp" in missing:
            raise Unconfined("no seccomp filter for this machine")
        if self.level == "landlock" and missing:
            raise Unconfined(f"{' and '.join(missing)} missing in this kernel")


def enter(level: str, packages: dict[str, list[str]]) -> Jail:
    """Go behind the walls of `level`, for good; this process may fork from now on only through the jail.

    `packages`: name to the paths of what programs may import beside the standard library.
    At level full the caller's process stays outside and waits; what returns is its child, process 1 of its namespace.
    """
    os.umask(0o077)
    _raise_oom_score()
    if level == "full":
        return _enter_namespaces(packages)
    import tempfile  # not above: what it loads would weigh on every fork at the other level

    folder = tempfile.mkdtemp(prefix="sandbox-")
    owner = _own_id() if os.geteuid() == 0 and _everybody_reaches(sysconfig.get_path("stdlib")) else None
    visible = os.path.join(folder, ".packages")
    os.mkdir(visible, 0o755)
    for paths in packages.values():
        for path in paths:
            os.symlink(path, os.path.join(visible, os.path.basename(path)))
    work = os.path.join(folder, "work")
    os.mkdir(work, 0o700)
    if owner is not None:
        os.chown(work, owner, owner)
        os.chmod(folder, 0o711)
    _set_path(visible)
    jail = Jail(level, [], folder=work, owner=owner, has_proc=False)
    readable = [*_interpreter_files(), *_library_files(), *_DEVICES, visible]
    jail.prepare_filters([*readable, *(path for paths in packages.values() for path in paths)])
    os.environ.update(HOME=work, TMPDIR=work)
    tempfile.tempdir = None
    return jail


def _enter_namespaces(packages: dict[str, list[str]]) -> Jail:
    spaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
    spaces |= syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID
    try:
        if os.geteuid() == 0:
            # Root builds the new root first, since only root may reach what is bound into it (a Python in /root),
            # and then becomes a user that owns nothing on the host.
            syscalls.unshare(syscalls.CLONE_NEWNS)
            _build_root(packages)
            user = _own_id()
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # else /proc/self stays root's, and the map cannot be written
            _unshare_as(user, user, spaces)
        else:
            _unshare_as(os.getuid(), os.getgid(), spaces)
            _build_root(packages)
        inner = os.fork()
    except OSError as error:
        raise Unconfined(f"namespaces: {error}") from None
    if inner:
        # The outer process only stands by: process 1 of the namespace ends with it, and takes everyone along.
        with contextlib.suppress(KeyboardInterrupt):
            os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 0x7F)
        os._exit(1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    try:
        syscalls.mount("proc", "/proc", "proc", flags)
        has_proc = True
    except OSError:  # the host covers parts of its /proc (a container): programs get an empty one
        syscalls.mount("tmpfs", "/proc", "tmpfs", flags | syscalls.MS_RDONLY, "size=4k")
        has_proc = False
    socket.sethostname("sandbox")
    for capability in range(64):
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one that this kernel knows
    _set_path(_PACKAGES)
    layers = ["user", "pid", "mount", "network", "ipc", "uts", *(["proc"] if has_proc else [])]
    jail = Jail("full", layers, folder=FOLDER, owner=None, has_proc=has_proc)
    jail.prepare_filters(["/"])
    return jail


def _unshare_as(user: int, group: int, spaces: int) -> None:
    syscalls.unshare(spaces)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INNER_ID} {user} 1"),
        ("gid_map", f"{_INNER_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _build_root(packages: dict[str, list[str]]) -> None:
    """A root folder in memory with the interpreter's library, the C libraries and nothing else, read-only."""
    safe = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", _NEW_ROOT, "tmpfs", safe, "mode=0755,size=1m")
    os.umask(0o022)
    hidden = [path for path in _package_folders() if os.path.isdir(path)]
    for path in _outermost([sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *_LIBRARIES]):
        if os.path.islink(path):
            os.makedirs(os.path.dirname(_NEW_ROOT + path), exist_ok=True)
            os.symlink(os.readlink(path), _NEW_ROOT + path)
        elif os.path.exists(path):
            _bind(path, _NEW_ROOT + path, hidden)
    for paths in packages.values():
        for path in paths:
            _bind(path, f"{_NEW_ROOT}{_PACKAGES}/{os.path.basename(path)}", [])
    for path in _DEVICES:
        _make_place(_NEW_ROOT + path, is_folder=False)
        syscalls.mount(path, _NEW_ROOT + path, None, syscalls.MS_BIND)
    for name in ("/proc", FOLDER, "/var"):
        os.makedirs(_NEW_ROOT + name, exist_ok=True)
    for name in ("/tmp", "/var/tmp", "/dev/shm"):
        os.symlink(FOLDER, _NEW_ROOT + name)
    syscalls.mount("/proc", f"{_NEW_ROOT}/proc", None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount("none", _NEW_ROOT, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | safe)
    os.chdir(_NEW_ROOT)
    syscalls.pivot_root(".", ".")
    syscalls.unmount_lazily(".")
    os.chdir("/")
    os.umask(0o077)


def _bind(source: str, target: str, hidden: list[str]) -> None:
    _make_place(target, is_folder=os.path.isdir(source))
    syscalls.mount(source, target, None, syscalls.MS_BIND | syscalls.MS_REC)
    for path in hidden:
        if path.startswith(source + "/"):
            syscalls.mount("tmpfs", target + path[len(source) :], "tmpfs", syscalls.MS_RDONLY, "size=4k,mode=0755")
    try:
        syscalls.make_mount_read_only(target)
    except OSError:  # before Linux 5.12: this mount alone, with the flags that it has and may not lose
        flags = os.statvfs(target).f_flag & 0x0F | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_RDONLY
        syscalls.mount("none", target, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | flags)


def _make_place(target: str, *, is_folder: bool) -> None:
    os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
    if not is_folder:
        os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC, 0o644))


def _package_folders() -> Iterator[str]:
    """Where installed packages lie among the libraries: they can hold anything, benchmarks' answers among it."""
    for base in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "/usr/lib/python3"):
        for name in ("site-packages", "dist-packages"):
            yield os.path.join(base, name)


def _outermost(paths: list[str]) -> list[str]:
    """Without those that lie below another."""
    unique = dict.fromkeys(paths)
    return [path for path in unique if not any(path.startswith(other + "/") for other in unique)]


def _interpreter_files() -> list[str]:
    """The standard library without its site-packages, entry by entry: a Landlock rule cannot take back."""
    folders = dict.fromkeys((sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")))
    hidden = set(_package_folders())
    return [entry.path for folder in folders for entry in os.scandir(folder) if entry.path not in hidden]


def _library_files() -> list[str]:
    found = []
    for path in _LIBRARIES:
        if os.path.isdir(path) and not path.startswith("/usr/share"):
            # Pythons have rules of their own, above.
            found += [entry.path for entry in os.scandir(path) if not entry.name.startswith("python")]
        elif os.path.exists(path):
            found.append(path)
    return found


def _make_ruleset(version: int, readable: list[str], folder: str) -> int:
    every = _FS_RIGHTS[max(known for known in _FS_RIGHTS if known <= version)]
    ruleset = syscalls.landlock_create(every, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    for path in readable:
        rights = _EXECUTE | _READ_FILE | _READ_DIR
        if path in _DEVICES:
            rights |= _WRITE_FILE
        with contextlib.suppress(FileNotFoundError):  # a dangling link
            syscalls.landlock_allow(ruleset, path, rights if os.path.isdir(path) else rights & _FILE_RIGHTS)
    if readable == ["/"]:
        syscalls.landlock_allow(ruleset, "/dev", _WRITE_FILE)
        folder = os.path.dirname(folder)  # a rule on a mount point says nothing of what is mounted on it
    syscalls.landlock_allow(ruleset, folder, every)
    return ruleset


def _set_path(packages: str) -> None:
    """Programs import from the standard library and the allowed packages only."""
    version = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    library = sysconfig.get_path("stdlib")
    dynamic = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")
    sys.path[:] = [os.path.join(os.path.dirname(library), version), library, dynamic, packages]
    sys.path_importer_cache.clear()


def _everybody_reaches(path: str) -> bool:
    """False for a Python below /root: programs stay root then, without capabilities, behind the other layers."""
    while os.stat(path).st_mode & 0o001:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False


def _raise_oom_score() -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _own_id() -> int:
    """A user of this server's own, so that the kernel counts its processes alone; nobody, where ids are few."""
    user = _OWN_IDS[os.getpid() % len(_OWN_IDS)]
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return user if any(start <= user < start + length for start, _, length in ranges) else _NOBODY


def _count_tasks(user: int) -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def _open_and_retry(_: object, path: str, __: object) -> None:
    """A folder that the program made unreadable is opened and removed after all."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)
