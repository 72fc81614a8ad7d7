"""JSON lines on disk: read with the line named in every error, append so that a kill loses at most one line.

Files that end in `.gz` are read and written compressed. A `Journal` is the append-only file of one stage of a run.
"""

import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from rerank.errors import InputError

Row = dict[str, Any]


def content_hash(*parts: object) -> str:
    """A short name for some content: 16 hexadecimal digits of the SHA-256 of its JSON.

    >>> content_hash("a", 1) == content_hash("a", 1) != content_hash("a1")
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_row(row: Row) -> str:
    """One JSON object on one line, keys in the order given, with its line break."""
    return json.dumps(row, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def read_rows(path: str | Path, *, stream: IO[bytes] | None = None) -> Iterator[tuple[int, Row]]:
    """Yield (1-based line number, object) of each non-blank line of a JSON-lines file.

    `stream` is read instead when given; `path` then only names it in errors.
    Raises InputError for a missing or unreadable file, bytes that are not UTF-8, and a line that is not a JSON object.
    """
    try:
        with stream or _open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _decode(line, path, number)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(_why(error), path=path) from error


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write a JSON-lines file whole, through a temporary name so that no reader meets half of it; return the count."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    count = 0
    with open(temporary, "wb") as raw:
        # mtime 0: the same rows give the same bytes.
        packed = gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) if path.suffix == ".gz" else None
        text = io.TextIOWrapper(packed or raw, encoding="utf-8", errors="surrogatepass", newline="\n")
        for row in rows:
            text.write(encode_row(row))
            count += 1
        text.flush()
        text.detach()
        if packed:
            packed.close()
    os.replace(temporary, path)
    return count


class Journal:
    """The append-only JSON-lines file of one stage, indexed by a key that each row carries.

    Opening it reads what is there. A last line without its line break is what a kill leaves behind: it is cut off, so
    that its work is done again. The first row with a key wins. `append` writes all its rows in one call and flushes.
    Without a path it is kept in memory only.

        with Journal(folder / "outcomes.jsonl", key=lambda row: row["key"]) as journal:
            if key not in journal:
                journal.append([{"key": key, ...}])
    """

    def __init__(self, path: str | Path | None, *, key: Callable[[Row], Hashable]):
        self._key = key
        self.rows: dict[Hashable, Row] = {}
        self._file: IO[bytes] | None = None
        if path is not None:
            _cut_torn_line(Path(path))
            self._read(Path(path))
            self._file = open(path, "ab")  # noqa: SIM115 - held until close()

    def __contains__(self, key: Hashable) -> bool:
        return key in self.rows

    def __getitem__(self, key: Hashable) -> Row:
        return self.rows[key]

    def append(self, rows: Iterable[Row]) -> None:
        new = [row for row in rows if self._key(row) not in self.rows]
        if self._file:
            self._file.write("".join(map(encode_row, new)).encode("utf-8", "surrogatepass"))
            self._file.flush()
        for row in new:
            self.rows[self._key(row)] = row

    def close(self) -> None:
        if self._file:
            self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, path: Path) -> None:
        for number, row in read_rows(path) if path.exists() else ():
            try:
                self.rows.setdefault(self._key(row), row)
            except (KeyError, TypeError) as error:
                raise InputError(f"not a row of this stage (missing {error})", path=path, line=number) from error


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _open_bytes(path: str | Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb") if Path(path).suffix == ".gz" else open(path, "rb"))


def _decode(line: bytes, path: str | Path, number: int) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", path=path, line=number) from error
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at column {error.colno}", path=path, line=number) from error
    except ValueError as error:
        raise InputError("not JSON: a number of thousands of digits", path=path, line=number) from error
    except RecursionError as error:
        raise InputError("JSON nested too deeply", path=path, line=number) from error
    if not isinstance(row, dict):
        raise InputError(f"a JSON object is wanted, not {type(row).__name__}", path=path, line=number)
    return row


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, IsADirectoryError):
        return "is a folder, a file is wanted"
    return f"cannot be read ({error.__class__.__name__}: {error})"
