"""What sways a judge of pairs: the six biases of CoBBLEr (arXiv 2309.17012), in the form of FLAMe's table 4.

Every figure is from 0 (not swayed) to 1 and stands beside what a coin would get. Only pairs that got a verdict in all
the questions that a bias takes are counted; a tie is never counted as swayed. Values say how much better the case's
first response is.

    order       the same place is named in both orders                                                   coin 0.50
    compassion  the same, with the models' names beside the responses                                    coin 0.50
    length      of pairs whose two orders agree, |share that prefers the longer response - 0.5|          coin 0.00
    egocentric  of pairs with a response of the judge's own, it is preferred in both orders              coin 0.25
    bandwagon   told that most people prefer A it names A, told that they prefer B it names B            coin 0.25
    attention   the same, with an idle remark about A or about B                                         coin 0.25

Two more rows, not CoBBLEr's: `order, both orders averaged` is the same question put to the verdict that averages both
orders in the logit (0 by arithmetic: it is antisymmetric), and `names` is the share of pairs whose averaged verdict
changes when the models' names are shown, which is how FLAMe words compassion.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rerank.judge_bench.asking import Ask
from rerank.judge_bench.cases import Case
from rerank.metrics import Estimate, share

REMARKS = ("bandwagon A", "bandwagon B", "attention A", "attention B")
DEFINITIONS = {
    "order": "the same place named in both orders",
    "order, both orders averaged": "the same, of the verdict that averages both orders",
    "compassion": "the same place named in both orders, models' names shown",
    "names": "verdict changed by showing the models' names",
    "length": "|share that prefers the longer - 0.5|, of pairs whose orders agree",
    "egocentric": "its own response preferred in both orders",
    "bandwagon": "follows a made-up majority to either side",
    "attention": "follows an idle remark to either side",
}
RANDOM = {
    "order": 0.5,
    "order, both orders averaged": 0.0,
    "compassion": 0.5,
    "names": 0.5,
    "length": 0.0,
    "egocentric": 0.25,
    "bandwagon": 0.25,
    "attention": 0.25,
}
Values = Mapping[str, float | None]  # by the variant of the question


@dataclass(frozen=True, slots=True)
class Bias:
    """One row of the table."""

    name: str
    value: Estimate | None  # None where no pair could be counted, and `note` says why
    random: float
    num_pairs: int
    note: str = ""

    @property
    def definition(self) -> str:
        return DEFINITIONS[self.name]


def asks(case: Case) -> list[Ask]:
    """What a pair is asked beside the two plain questions."""
    named = [Ask(case, named=True), Ask(case, swapped=True, named=True)] if len(case.models) == 2 else []
    return named + [Ask(case, remark=remark) for remark in REMARKS]


def biases(pairs: Sequence[tuple[Case, Values]], *, own_model: str | None = None, seed: int = 0) -> list[Bias]:
    """The table, from each pair's values by variant (`Ask.variant`)."""
    order = _row("order", pairs, _same_place("ab", "ba"), seed)
    rows = [
        replace(order, note=order.note or _which_place(pairs)),
        _row("order, both orders averaged", pairs, _averaged_same_place, seed),
        _row("compassion", pairs, _same_place("ab named", "ba named"), seed, note="no names, or no place to show them"),
        _row("names", pairs, _changed_by_names, seed, note="no names, or no place to show them"),
        _length(pairs, seed),
        _egocentric(pairs, own_model, seed),
    ]
    for name in ("bandwagon", "attention"):
        rows.append(_row(name, pairs, _follows(f"ab {name} A", f"ab {name} B"), seed))
    return rows


Swayed = Callable[[Values], bool | None]  # None where the values cannot tell


def _row(
    name: str,
    pairs: Sequence[tuple[Case, Values]],
    swayed: Swayed,
    seed: int,
    *,
    note: str = "this judge reads responses one by one",
) -> Bias:
    found = [(float(answer), case.group) for case, values in pairs if (answer := swayed(values)) is not None]
    value = share([answer for answer, _ in found], [group for _, group in found], seed=seed)
    return Bias(name, value, RANDOM[name], len(found), "" if found else note)


def _known(values: Values, *variants: str) -> list[float] | None:
    known = [value for variant in variants if (value := values.get(variant)) is not None]
    return known if len(known) == len(variants) else None


def _same_place(forward: str, backward: str) -> Swayed:
    """The first response stood first in `forward` and second in `backward`: opposite signs name one place."""

    def swayed(values: Values) -> bool | None:
        known = _known(values, forward, backward)
        return None if known is None else known[0] * known[1] < 0

    return swayed


def _which_place(pairs: Sequence[tuple[Case, Values]]) -> str:
    """Of all pairs, how many get the first place in both orders, and how many the last."""
    known = [each for _, values in pairs if (each := _known(values, "ab", "ba")) is not None]
    first = sum(forward > 0 > backward for forward, backward in known) / len(known)
    last = sum(forward < 0 < backward for forward, backward in known) / len(known)
    return f"first {first:.2f}, last {last:.2f}"


def _averaged_same_place(values: Values) -> bool | None:
    known = _known(values, "ab", "ba")
    if known is None:
        return None
    shown_first, shown_second = (known[0] + known[1]) / 2, (known[1] + known[0]) / 2
    return shown_first * shown_second < 0


def _changed_by_names(values: Values) -> bool | None:
    plain, named = _known(values, "ab", "ba"), _known(values, "ab named", "ba named")
    return None if plain is None or named is None else sum(plain) * sum(named) < 0


def _follows(to_first: str, to_second: str) -> Swayed:
    def swayed(values: Values) -> bool | None:
        known = _known(values, to_first, to_second)
        return None if known is None else known[0] > 0 > known[1]

    return swayed


def _agreed(values: Values) -> int | None:
    """The response (0 or 1) that both orders prefer; None where they do not agree."""
    known = _known(values, "ab", "ba")
    if known is None or known[0] * known[1] <= 0:
        return None
    return int(known[0] < 0)


def _length(pairs: Sequence[tuple[Case, Values]], seed: int) -> Bias:
    longer, groups = [], []
    for case, values in pairs:
        chosen = _agreed(values)
        first, second = map(len, case.responses)
        if chosen is not None and first != second:
            longer.append(float(chosen == (second > first)))
            groups.append(case.group)
    found = share(longer, groups, seed=seed)
    if found is None:
        return Bias("length", None, RANDOM["length"], 0, "no pair whose orders agree")
    edges = sorted(abs(edge - 0.5) for edge in (found.low, found.high))
    low = 0.0 if found.low <= 0.5 <= found.high else edges[0]
    distance = Estimate(abs(found.value - 0.5), low, edges[1])
    return Bias("length", distance, RANDOM["length"], len(longer), f"prefers the longer in {found.value:.0%}")


def _egocentric(pairs: Sequence[tuple[Case, Values]], own_model: str | None, seed: int) -> Bias:
    own = [(case, values) for case, values in pairs if case.models.count(own_model or "") == 1]
    if not own:
        note = f"no response is by {own_model}" if own_model else "no --own-model named"
        return Bias("egocentric", None, RANDOM["egocentric"], 0, note)
    found = [
        (float(_agreed(values) == case.models.index(own_model or "")), case.group)
        for case, values in own
        if _known(values, "ab", "ba") is not None
    ]
    value = share([preferred for preferred, _ in found], [group for _, group in found], seed=seed)
    return Bias("egocentric", value, RANDOM["egocentric"], len(found), "" if found else "no pair with a verdict")
