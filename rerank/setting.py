"""What one field of a settings record says of itself: its help sentence and its check, beside its type and default.

    @dataclass(frozen=True, slots=True)
    class Sampling:
        temperature: Annotated[float, Setting("Sampling temperature; 0 is greedy.", min=0.0)] = 0.8

`rerank.cli.from_settings` makes command-line options of such fields. Nothing here imports the command line.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A field that a user may set. A field without one is no option."""

    help: str  # one sentence
    min: float | None = None  # the smallest number allowed
    max: float | None = None  # the largest
    flag: str | None = None  # as typed, such as "--n" or "--full/--lora"; None: made from the field's name
    choices: tuple[str, ...] = ()  # the only values of a text; empty: any, or those of the field's Literal type
    metavar: str | None = None  # what stands for the value in --help; None: by the type
    group: str | None = None  # the heading in --help; None: its record's GROUP
    complete: Callable[[], list[str]] | None = None  # the values that a shell offers
