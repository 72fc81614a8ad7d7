"""Values between the trusted and the untrusted side: JSON with tags for what JSON lacks, by exact type.

    >>> decode_value(encode_value((1, {2: b"x"})))
    (1, {2: b'x'})

A list, a string, a float, None, True and a number are themselves; everything else is an object of one pair, its tag
and its parts, so that `json` reads a plain value at the speed of C and our code sees only the tags. Reading can make
built-in values (and Decimal, Fraction, datetime and numpy's) and nothing else: no class of the sender's, no code.
numpy's arrays and numbers keep their type. What has no plain form (a function, an iterator, an object) goes over as a
numbered handle, if the sender gives them out.

Reading bounds size, depth and number length, and answers everything that it does not like with ProtocolError.
It does not bound what a test then does with a value: the judge has a deadline for that.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
from collections.abc import Callable
from itertools import accumulate
from typing import Any

MAX_FRAME_BYTES = 16 << 20
MAX_DEPTH = 200
MAX_INT_BITS = 1 << 22
NUMBER_BYTES = 16  # of the fresh number before each question, which its reply repeats

_to_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(_STEP)))
_PLAIN = frozenset({type(None), bool, int, float, str})
_LENGTH = struct.Struct(">I")
_NUMPY_KINDS = frozenset("biufc")


class ProtocolError(Exception):
    """The other side sent what this protocol does not have."""


class NotPlain(Exception):
    """A value is too large or too deep to be sent."""


class NoPlainForm(NotPlain):
    """A value of a class that has no plain form, and the sender gives out no handles for it."""


StandIn = Callable[[Any, Callable[[Any], Any]], Any]
Resolve = Callable[[str, list[Any]], Any]


def refuse(value: Any, _: Callable[[Any], Any]) -> Any:
    raise NoPlainForm(f"a value of class {type(value).__name__}")


def encode_value(value: Any, stand_in: StandIn = refuse) -> bytes:
    """`value` as one JSON text. `stand_in(object, tagged)` gives the tagged form of what has no plain one."""
    try:
        if type(value) in _PLAIN or (type(value) is list and _PLAIN.issuperset(map(type, value))):
            return _to_json(value).encode()
    except (ValueError, UnicodeEncodeError):
        pass  # a number of thousands of digits, or half a surrogate pair: the careful way knows tags for them
    try:
        return _to_json(_tagged(value, stand_in, 0)).encode()
    except RecursionError:
        raise NotPlain("nested too deeply") from None


def decode_value(data: bytes | bytearray, resolve: Resolve | None = None) -> Any:
    """The value of one JSON text. `resolve(kind, parts)` makes the stand-in for a handle."""
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        brackets = _STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS)
        if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
            raise ProtocolError(f"a value nested deeper than {MAX_DEPTH}")

    def untag(pairs: list[tuple[str, Any]]) -> Any:
        ((tag, parts),) = pairs
        if tag in _READ:
            return _READ[tag](parts)
        if resolve is None or tag not in HANDLE_KINDS:
            raise ProtocolError(f"unknown tag {tag[:20]!r}")
        return resolve(tag, parts)

    try:
        return json.loads(data, object_pairs_hook=untag)
    except ProtocolError:
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, AttributeError, ImportError) as error:
        raise ProtocolError(f"not a value: {type(error).__name__}") from None


HANDLE_KINDS = ("function", "iterator", "object", "argument")


def may_change(value: Any) -> bool:
    """Whether a call could change this argument in place. Both sides ask, and get the same answer."""
    if type(value) is tuple:
        return any(map(may_change, value))
    return isinstance(value, (list, dict, set, bytearray)) or type(value).__module__ in (
        "collections",
        "array",
        "numpy",
    )


def copy_into(old: Any, new: Any) -> None:
    """Change `old` in place to equal `new`; what it holds keeps its identity where it only changed inside."""
    if type(old) is not type(new):
        raise ProtocolError("an argument changed its type")
    if isinstance(old, (list, tuple)) and len(old) == len(new):
        for place, (was, now) in enumerate(zip(old, new, strict=True)):
            if may_change(was) and type(was) is type(now):
                copy_into(was, now)
            elif isinstance(old, list):
                old[place] = now
    elif isinstance(old, dict):
        kept = dict(old)
        old.clear()
        for key, now in new.items():
            was = kept.get(key)
            if may_change(was) and type(was) is type(now):
                copy_into(was, now)
                now = was
            old[key] = now
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif isinstance(old, (list, bytearray)) or type(old).__module__ == "array":
        old[:] = new
    elif type(old).__module__ == "collections":  # a deque
        old.clear()
        old.extend(new)
    elif getattr(old, "shape", None) == getattr(new, "shape", None) != ():
        old[...] = new


def _ints(number: int) -> str:
    if number.bit_length() > MAX_INT_BITS:
        raise NotPlain(f"a number of more than {MAX_INT_BITS} bits")
    return hex(number)


def _read_int(text: Any) -> int:
    if type(text) is not str or len(text) > MAX_INT_BITS // 4 + 4:
        raise ProtocolError("a number too long")
    return int(text, 16)


def _tagged(value: Any, stand_in: StandIn, depth: int) -> Any:
    kind = type(value)
    if kind is int:
        return value if -(1 << 64) < value < 1 << 64 else {"int": _ints(value)}
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"str": value.encode("utf-32-le", "surrogatepass").hex()}
        return value
    if kind in _PLAIN:
        return value
    if depth >= MAX_DEPTH // 2:  # a tag adds a level to each level
        raise NotPlain(f"nested deeper than {MAX_DEPTH // 2}")

    def many(items: Any) -> list[Any]:
        return [_tagged(item, stand_in, depth + 1) for item in items]

    if kind is list:
        return many(value)
    if kind is tuple:
        return {"tuple": many(value)}
    if kind is dict:
        return {"dict": [many(value.keys()), many(value.values())]}
    if kind in (set, frozenset):
        return {kind.__name__: many(value)}
    if kind in (bytes, bytearray):
        return {kind.__name__: value.hex()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind in (range, slice):
        return {kind.__name__: many((value.start, value.stop, value.step))}
    if kind is type and value in _TYPES.values():
        return {"type": value.__name__}
    if value is Ellipsis or value is NotImplemented:
        return {"constant": repr(value)}
    write = _WRITE.get((kind.__module__, kind.__qualname__))
    # The name alone could be forged, which would harm only the forger: what is written is read as plain data.
    if write is not None and getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind:
        return {_tag_of(kind): write(value, many)}
    if type(kind) is type and kind in _VIEWS:
        return {kind.__name__: many(value)}
    if kind.__module__ == "numpy" and (numpy := sys.modules.get("numpy")) is not None:
        if kind is numpy.ndarray and value.dtype.kind in _NUMPY_KINDS:
            return {"ndarray": [value.dtype.str, list(value.shape), value.tobytes().hex()]}
        if isinstance(value, numpy.generic) and value.dtype.kind in _NUMPY_KINDS:
            return {"scalar": [value.dtype.str, value.tobytes().hex()]}
    return stand_in(value, lambda plain: _tagged(plain, stand_in, depth))


def flattened(value: Any) -> Any:
    """An instance of a subclass as its built-in base; the value itself where it has none."""
    for base, plain in _BASES:
        if isinstance(value, base):
            return plain(value)
    return value


# By the base's own methods: the subclass's are the program's.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__),
    (float, float.__pos__),
    (str, str.__str__),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(zip(dict.keys(value), dict.values(value), strict=True))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (bytes, lambda value: bytes(bytes.__iter__(value))),
    (bytearray, lambda value: bytearray(bytearray.__iter__(value))),
)
_VIEWS = {type({}.keys()), type({}.values()), type({}.items())}
_TYPES = {
    kind.__name__: kind
    for kind in (
        object,
        type,
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        list,
        tuple,
        dict,
        set,
        frozenset,
        range,
    )
} | {"NoneType": type(None)}


def _tag_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _write_datetime(value: Any, _: Callable[[Any], list[Any]]) -> Any:
    zone = value.tzinfo
    if zone is not None and type(zone).__name__ != "timezone":
        raise NotPlain("a time with a zone of its own class")
    fields = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    if hasattr(value, "year"):
        fields = [value.year, value.month, value.day, *fields]
    offset = None if zone is None else zone.utcoffset(None)
    return [fields, None if offset is None else [offset.days, offset.seconds, offset.microseconds]]


_Write = Callable[[Any, Callable[[Any], list[Any]]], Any]
_WRITE: dict[tuple[str, str], _Write] = {
    ("decimal", "Decimal"): lambda value, _: str(value),
    ("fractions", "Fraction"): lambda value, _: [_ints(value.numerator), _ints(value.denominator)],
    ("datetime", "datetime"): _write_datetime,
    ("datetime", "time"): _write_datetime,
    ("datetime", "date"): lambda value, _: [value.year, value.month, value.day],
    ("datetime", "timedelta"): lambda value, _: [value.days, value.seconds, value.microseconds],
    ("collections", "deque"): lambda value, many: [many(value), value.maxlen],
    ("collections", "OrderedDict"): lambda value, many: [many(value.keys()), many(value.values())],
    ("collections", "Counter"): lambda value, many: [many(value.keys()), many(value.values())],
    ("collections", "defaultdict"): lambda value, many: [many(value.keys()), many(value.values())],
    ("array", "array"): lambda value, many: [value.typecode, many(value.tolist())],
}


def _make(module: str, name: str) -> Any:
    """A class of the standard library, imported when the first value of it comes by."""
    return getattr(__import__(module), name)


def _read_datetime(name: str, parts: Any) -> Any:
    fields, offset = parts
    zone = None if offset is None else _make("datetime", "timezone")(_make("datetime", "timedelta")(*offset))
    *clock, fold = fields
    return _make("datetime", name)(*clock, tzinfo=zone, fold=fold)


def _read_dict(parts: Any) -> dict[Any, Any]:
    keys, values = parts
    return dict(zip(_list(keys), _list(values), strict=True))


def _list(parts: Any) -> list[Any]:
    if type(parts) is not list:
        raise ProtocolError("not a list")
    return parts


def _read_decimal(text: Any) -> Any:
    if type(text) is not str or len(text) > 100_000:
        raise ProtocolError("a decimal too long")
    return _make("decimal", "Decimal")(text)


def _read_scalar(parts: Any) -> Any:
    dtype, data = parts
    return _numpy_buffer(dtype, data)[0]


def _read_array(parts: Any) -> Any:
    dtype, shape, data = parts
    return _numpy_buffer(dtype, data).reshape([int(size) for size in _list(shape)]).copy()


def _numpy_buffer(dtype: Any, data: str) -> Any:
    numpy = __import__("numpy")
    if type(dtype) is not str or len(dtype) > 8 or numpy.dtype(dtype).kind not in _NUMPY_KINDS:
        raise ProtocolError("not a type of number")
    return numpy.frombuffer(bytes.fromhex(data), numpy.dtype(dtype))


def _read_dict_as(name: str) -> Callable[[Any], Any]:
    def read(parts: Any) -> Any:
        made = _make("collections", name)()
        made.update(_read_dict(parts))
        return made

    return read


_READ: dict[str, Callable[[Any], Any]] = {
    "int": _read_int,
    "str": lambda text: bytes.fromhex(text).decode("utf-32-le", "surrogatepass"),
    "tuple": lambda parts: tuple(_list(parts)),
    "dict": _read_dict,
    "set": lambda parts: set(_list(parts)),
    "frozenset": lambda parts: frozenset(_list(parts)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda parts: complex(*map(float, _list(parts))),
    "range": lambda parts: range(*_list(parts)),
    "slice": lambda parts: slice(*_list(parts)),
    "type": _TYPES.__getitem__,
    "constant": {"Ellipsis": ..., "NotImplemented": NotImplemented}.__getitem__,
    "dict_keys": lambda parts: dict.fromkeys(_list(parts)).keys(),
    "dict_values": lambda parts: dict(enumerate(_list(parts))).values(),
    "dict_items": lambda parts: dict(_list(parts)).items(),
    "decimal.Decimal": _read_decimal,
    "fractions.Fraction": lambda parts: _make("fractions", "Fraction")(*map(_read_int, _list(parts))),
    "datetime.datetime": lambda parts: _read_datetime("datetime", parts),
    "datetime.time": lambda parts: _read_datetime("time", parts),
    "datetime.date": lambda parts: _make("datetime", "date")(*_list(parts)),
    "datetime.timedelta": lambda parts: _make("datetime", "timedelta")(*_list(parts)),
    "collections.deque": lambda parts: _make("collections", "deque")(_list(parts[0]), parts[1]),
    "collections.OrderedDict": _read_dict_as("OrderedDict"),
    "collections.Counter": _read_dict_as("Counter"),
    "collections.defaultdict": _read_dict_as("defaultdict"),
    "array.array": lambda parts: _make("array", "array")(parts[0], parts[1]),
    "ndarray": _read_array,
    "scalar": _read_scalar,
}


class Channel:
    """Length-prefixed frames over a stream socket. Reading bounds the size and keeps no more than was sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pending = bytearray()

    @property
    def has_pending(self) -> bool:
        """Something lies here that nobody has read: on the trusted side, a reply before its question."""
        return bool(self._pending)

    def send(self, frame: bytes) -> None:
        if len(frame) > MAX_FRAME_BYTES:
            raise NotPlain(f"a value of more than {MAX_FRAME_BYTES} bytes")
        self._socket.sendall(_LENGTH.pack(len(frame)) + frame)

    def receive(self) -> bytearray:
        """The next frame. EOFError: the other side has gone."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame of {length} bytes")
        return self._take(length)

    def _take(self, size: int) -> bytearray:
        while len(self._pending) < size:
            try:
                received = self._socket.recv(1 << 18)
            except ConnectionResetError:
                received = b""
            if not received:
                raise EOFError("the other side closed the channel")
            self._pending += received
        taken = self._pending[:size]
        del self._pending[:size]
        return taken

    def close(self) -> None:
        self._socket.close()
