"""The value protocol: what goes over comes back the same, and nothing from the untrusted side can harm the reader."""

import collections
import contextlib
import datetime
import decimal
import fractions
import math
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import wire

zones = st.integers(-1439, 1439).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 9).map(lambda digit: (-digit) ** 9000)
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Lu", "Nd"]), max_size=6)
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.fractions()
    | st.dates()
    | st.timedeltas()
    | st.datetimes(timezones=st.none() | zones)
    | st.times()
    | st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9))
    | st.binary().map(bytearray)
    | st.sampled_from([..., NotImplemented, int, str, list, type(None)])
)
hashable = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=4)
        | st.lists(inner, max_size=4).map(collections.deque)
        | st.dictionaries(hashable, inner, max_size=4).map(collections.OrderedDict)
        | st.lists(hashable, max_size=4).map(collections.Counter)
    ),
    max_leaves=12,
)


def same(one, other):
    """Equal in type and value all the way down; NaN is itself and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and one != one:
        return other != other
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@settings(max_examples=300, deadline=None)
@given(values)
def test_a_value_comes_back_the_same(value):
    assert same(wire.decode_value(wire.encode_value(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",  # half a pair
        "\ud83d\ude00",  # two halves are not one character
        10**5000,  # more digits than int() reads
        -0.0,
        fractions.Fraction(-1, 3),
        {1: 2}.keys(),
        collections.defaultdict(None, {1: [2]}),
        [[[]]] * 3,
        datetime.datetime(2024, 10, 27, 2, 30, fold=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_awkward_values_come_back(value):
    back = wire.decode_value(wire.encode_value(value))
    assert back == value
    assert type(back) is type(value)


def test_numpy_keeps_its_types():
    numpy = pytest.importorskip("numpy")
    for value in (numpy.float32(1.5), numpy.int64(-7), numpy.bool_(True), numpy.arange(6.0).reshape(2, 3)):
        back = wire.decode_value(wire.encode_value(value))
        assert type(back) is type(value)
        assert back.dtype == value.dtype
        assert numpy.array_equal(back, value)
    with pytest.raises(wire.NotPlain):
        wire.encode_value(numpy.array([object()]))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_noise_is_answered_with_protocol_error(noise):
    with contextlib.suppress(wire.ProtocolError):
        wire.decode_value(noise)


tags = st.sampled_from([*wire._READ, "object", "eval", "", "__class__"])
forged = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tags, inner, max_size=2),
    max_leaves=10,
)


@settings(max_examples=500, deadline=None)
@given(forged)
def test_forged_tags_make_plain_data_or_an_error(record):
    import json

    try:
        value = wire.decode_value(json.dumps(record).encode())
    except wire.ProtocolError:
        return
    wire.encode_value(value)  # whatever was made has a plain form


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" * 10**6 + b"]" * 10**6, "deep"),
        (b'{"tuple":[' * 150 + b"]}" * 150, "deep in tags"),
        (b'"' + b"[" * 1000, "an open string"),
        (b'{"int": "0x' + b"f" * (wire.MAX_INT_BITS // 4 + 8) + b'"}', "a number too long"),
        (b"9" * 5000, "too many digits"),
        (b'{"decimal.Decimal": "' + b"9" * 200_000 + b'"}', "a decimal too long"),
        (b'{"ndarray": ["|O8", [1], "0000000000000000"]}', "an array of pointers"),
        (b'{"ndarray": ["<f8", [99999999999], ""]}', "an array larger than its data"),
        (b'{"set": [[]]}', "what cannot be in a set"),
        (b'{"int": "1", "str": "x"}', "two tags"),
        (b"{}", "no tag"),
        (b'{"function": [0, "f"]}', "a handle where none are given out"),
        (b'{"bytes": "zz"}', "not hexadecimal"),
    ],
)
def test_evil_values_are_refused(data, why):
    with pytest.raises(wire.ProtocolError):
        pytest.fail(f"{why} was read as {wire.decode_value(data)!r:.99}")


def test_brackets_in_strings_do_not_count_as_depth():
    assert wire.decode_value(wire.encode_value(["[" * 5000, '"]' * 300])) == ["[" * 5000, '"]' * 300]


def test_cyclic_and_deep_values_are_not_sent():
    cycle: list = []
    cycle.append(cycle)
    for value in (cycle, {"a": cycle}, (cycle,)):
        with pytest.raises(wire.NotPlain):
            wire.encode_value(value)


def test_a_subclass_is_refused_and_flattened_on_request():
    class Equal(int):
        def __eq__(self, _):
            return True

        __hash__ = int.__hash__

    with pytest.raises(wire.NoPlainForm):
        wire.encode_value(Equal(3))
    assert type(wire.flattened(Equal(3))) is int
    point = collections.namedtuple("point", "x y")(1, 2)
    assert type(wire.flattened(point)) is tuple


def test_arguments_are_changed_in_place():
    inner = [3, 1, 2]
    outer = {"a": inner, "b": {1}}
    wire.copy_into(outer, {"a": [1, 2, 3], "b": {2}, "c": 0})
    assert outer == {"a": [1, 2, 3], "b": {2}, "c": 0}
    assert outer["a"] is inner
    with pytest.raises(wire.ProtocolError):
        wire.copy_into([1], (1,))


def test_a_channel_bounds_and_separates_frames():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = wire.Channel(ours)
        theirs.sendall(b"\0\0\0\2ab\0\0\0\1c")
        assert reader.receive() == b"ab"
        assert reader.has_pending
        assert reader.receive() == b"c"
        theirs.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(wire.ProtocolError):
            reader.receive()


def test_a_channel_reads_what_comes_in_pieces_and_notices_the_end():
    ours, theirs = socket.socketpair()
    with ours:
        frame = b"x" * 100_000

        def drip():
            with theirs:
                for start in range(0, len(frame), 30_000):
                    theirs.sendall(
                        (len(frame).to_bytes(4, "big") if start == 0 else b"") + frame[start : start + 30_000]
                    )
                theirs.sendall(b"\0\0\1\0half")

        thread = threading.Thread(target=drip)
        thread.start()
        reader = wire.Channel(ours)
        assert reader.receive() == frame
        with pytest.raises(EOFError):
            reader.receive()
        thread.join()
