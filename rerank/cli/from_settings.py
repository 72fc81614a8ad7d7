"""Settings records to command-line options: name, default, help and check are written once, in the record.

    @dataclass(frozen=True, slots=True)
    class Sampling:
        GROUP: ClassVar[str] = "Sampling"     # the heading of its options in --help
        temperature: Annotated[float, Setting("Sampling temperature; 0 is greedy.", min=0.0)] = 0.8
        num_samples: Annotated[int, Setting("Candidates to sample for each problem.", min=1, flag="--n")] = 10
        device: str | None = None             # no Setting: no option

    app = typer.Typer()

    @app.command(cls=GroupedCommand)
    @takes_settings
    def main(
        out: Annotated[Path, typer.Option(help="Folder of the run.")],      # stays as it is
        sampling: Sampling,                                                 # --temperature, --n
        writer: WriteSettings | None,                                       # None unless its required options are given
        changes: Annotated[dict[str, Any], ChangesTo(TrainSettings)],       # {name: value} of the options given
    ) -> None: ...

A field whose type is itself a record is spread out too, unless it is Annotated without a Setting. Two records may share
a field, as `seed`: then it is one option that fills both, and must be declared alike in both.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperOption

from rerank.errors import SettingError
from rerank.setting import Setting

_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True, slots=True)
class ChangesTo:
    """Marks a parameter that receives only those settings of `record` that were given, by field name."""

    record: type


@dataclass(frozen=True, slots=True)
class _Option:
    name: str  # of the field
    type: Any
    default: Any  # MISSING for a required one
    setting: Setting
    group: str | None = dataclasses.field(compare=False)


@dataclass(frozen=True, slots=True)
class _Filled:
    """A parameter that is filled with a record."""

    record: type
    is_optional: bool = False  # `Record | None`
    is_changes: bool = False  # ChangesTo(record)

    def adapt(self, option: _Option) -> _Option:
        """The option as it is here: one that may be left out has the default None."""
        if self.is_changes or (self.is_optional and option.default is MISSING):
            option = replace(option, type=option.type | None, default=None)
        if self.is_changes and bool in get_args(option.type) and option.setting.flag is None:
            name = option.name.replace("_", "-")
            option = replace(option, setting=replace(option.setting, flag=f"--{name}/--no-{name}"))
        return option

    def argument(self, values: Mapping[str, Any], shared: Set[str]) -> Any:
        """The record; `shared` are the options that fill other records too."""
        if self.is_changes:
            names = (option.name for option in _options(self.record))
            return {name: values[name] for name in names if values[name] is not None}
        if self.is_optional:
            options = list(_options(self.record))
            missing = [each for each in options if each.default is MISSING and values[each.name] is None]
            if missing:
                for each in options:
                    if each.name not in shared and each.default is not MISSING and values[each.name] != each.default:
                        raise SettingError(f"{_flag(each)} is for {_flag(missing[0])}, which is not given")
                return None
        return _made(self.record, values)


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the records in its signature. Raises TypeError where two records disagree."""
    hints = get_type_hints(command, include_extras=True)
    parameters: dict[str, inspect.Parameter] = {}
    known: dict[str, _Option] = {}
    shared: set[str] = set()
    for name, parameter in inspect.signature(command).parameters.items():
        filled = _filled(hints[name])
        if filled is None:
            parameters[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        for option in map(filled.adapt, _options(filled.record)):
            if option.name in known:
                shared.add(option.name)
            if known.setdefault(option.name, option) != option:
                raise TypeError(f"{command.__name__}: two records declare {option.name} differently")
            parameters.setdefault(option.name, _parameter(option))

    def call(**values: Any) -> None:
        arguments = {}
        for name, hint in hints.items():
            if name != "return":
                filled = _filled(hint)
                arguments[name] = filled.argument(values, shared) if filled else values[name]
        command(**arguments)

    call.__name__, call.__doc__, call.__module__ = command.__name__, command.__doc__, command.__module__
    call.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    call.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return call


class GroupedCommand(TyperCommand):
    """A command whose --help shows its options under the headings of their records."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for heading, rows in help_groups(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def help_groups(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Heading to rows of --help, spelling and sentence, the general options last."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        row = parameter.get_help_record(context)
        if row is not None:
            general = "Options" if isinstance(parameter, TyperOption) else "Arguments"
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or general, []).append(row)
    return {heading: groups[heading] for heading in sorted(groups, key=lambda heading: heading == "Options")}


def _filled(hint: Any) -> _Filled | None:
    if get_origin(hint) is Annotated:
        return next(
            (_Filled(each.record, is_changes=True) for each in get_args(hint)[1:] if isinstance(each, ChangesTo)), None
        )
    kinds = [each for each in (get_args(hint) or (hint,)) if each is not NoneType]
    if len(kinds) == 1 and is_dataclass(kinds[0]) and isinstance(kinds[0], type):
        return _Filled(kinds[0], is_optional=hint is not kinds[0])
    return None


def _made(record: type, values: Mapping[str, Any]) -> Any:
    return record(
        **{
            field.name: _made(kind, values) if setting is None else values[field.name]
            for field, kind, setting in _settings(record)
        }
    )


def _options(record: type) -> Iterator[_Option]:
    for field, kind, setting in _settings(record):
        if setting is None:
            yield from _options(kind)
        else:
            yield _Option(field.name, kind, _default(field), setting, setting.group or getattr(record, "GROUP", None))


def _settings(record: type) -> Iterator[tuple[Field[Any], Any, Setting | None]]:
    """The fields that are options, with their plain types; those that are records themselves without a Setting."""
    hints = get_type_hints(record, include_extras=True)
    for field in fields(record):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            kind, *notes = get_args(hint)
            yield from ((field, kind, each) for each in notes if isinstance(each, Setting))
        elif is_dataclass(hint) and isinstance(hint, type):
            yield field, hint, None


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _flag(option: _Option) -> str:
    return option.setting.flag or "--" + option.name.replace("_", "-")


def _parameter(option: _Option) -> inspect.Parameter:
    setting, kind = option.setting, option.type
    plain = next((each for each in (get_args(kind) or (kind,)) if each is not NoneType), kind)
    if setting.choices:
        choice: Any = Literal[setting.choices]
        kind = choice | None if NoneType in get_args(kind) else choice
    is_choice = bool(setting.choices) or get_origin(kind) is Literal
    info = typer.Option(
        _flag(option),
        help=setting.help,
        min=setting.min,
        max=setting.max,
        metavar=setting.metavar or (None if is_choice else _METAVARS.get(plain)),
        rich_help_panel=option.group,
        autocompletion=setting.complete,
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if option.default is MISSING else option.default,
        annotation=Annotated[kind, info],
    )
