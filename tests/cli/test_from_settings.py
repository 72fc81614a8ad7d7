"""Settings records become options: names, defaults, checks, shared fields, optional records, changes."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import pytest
import typer
from typer.testing import CliRunner

from rerank.cli.from_settings import ChangesTo, GroupedCommand, takes_settings
from rerank.setting import Setting

Seed = Annotated[int, Setting("Seed.")]


@dataclass(frozen=True, slots=True)
class Nested:
    temperature: Annotated[float, Setting("How hot.", min=0.0)] = 0.8
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class Draw:
    GROUP: ClassVar[str] = "Drawing"
    model: Annotated[str, Setting("Which model.")]
    count: Annotated[int, Setting("How many.", min=1, flag="--n")] = 10
    nested: Nested = field(default_factory=Nested)
    hidden: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    GROUP: ClassVar[str] = "Judging"
    kind: Annotated[str, Setting("Which kind.", choices=("one", "two"))] = "one"
    form: Annotated[Literal["a", "b"], Setting("Which form.")] = "a"
    full: Annotated[bool, Setting("All of it.", flag="--full/--part")] = False
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class OtherSeed:
    seed: Annotated[int, Setting("Another seed.")] = 1


def call(command: Any, *arguments: str):
    """What the command got, and the result of calling it."""
    received: list[dict[str, Any]] = []
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=GroupedCommand)(takes_settings(command(received)))
    return CliRunner().invoke(app, list(arguments)), received


def optional(received: list[dict[str, Any]]):
    def run(draw: Draw | None, judge: Judge, out: Annotated[str, typer.Option(help="Where to.")] = "here") -> None:
        """Does it."""
        received.append({"draw": draw, "judge": judge, "out": out})

    return run


def changes(received: list[dict[str, Any]]):
    def run(changed: Annotated[dict[str, Any], ChangesTo(Judge)]) -> None:
        received.append(changed)

    return run


def test_a_record_is_filled_and_a_shared_field_fills_both():
    result, received = call(optional, "--model", "m", "--n", "3", "--seed", "7", "--kind", "two", "--full")
    assert result.exit_code == 0, result.output
    assert received == [
        {"draw": Draw("m", 3, Nested(0.8, 7)), "judge": Judge("two", "a", full=True, seed=7), "out": "here"}
    ]


def test_an_optional_record_is_none_without_its_required_options():
    result, received = call(optional)
    assert result.exit_code == 0, result.output
    assert received == [{"draw": None, "judge": Judge(), "out": "here"}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--n", "0"), "--n"),
        (("--temperature", "-1"), "--temperature"),
        (("--kind", "three"), "--kind"),
        (("--form", "c"), "--form"),
        (("--hidden", "1"), "No such option"),
    ],
)
def test_what_fails_a_check_is_refused(arguments, words):
    result, received = call(optional, *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert not received


def test_only_the_changes_that_were_asked_for_arrive():
    assert call(changes)[1] == [{}]
    assert call(changes, "--part", "--kind", "two")[1] == [{"kind": "two", "full": False}]
    assert call(changes, "--kind", "three")[0].exit_code == 2


def test_two_records_must_declare_a_shared_field_alike():
    def run(judge: Judge, other: OtherSeed) -> None: ...

    with pytest.raises(TypeError, match="run: two records declare seed differently"):
        takes_settings(run)


def test_help_has_a_heading_for_each_record():
    result, _ = call(optional, "--help")
    headings = [line for line in result.stdout.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Drawing:", "Judging:", "Options:"]
    assert "--n N" in result.stdout
    assert "How many.  [default: 10; x>=1]" in result.stdout
