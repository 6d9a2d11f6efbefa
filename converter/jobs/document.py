"""What a user writes: sections with keys, and documents made of them, from a file, flags or a program.

Every wrong key gives one sentence: which key, what was found, what is allowed, the nearest known name. `${VAR}` in a
text takes an environment variable; its value is never shown.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from converter.errors import JobError, Reported, nearest
from converter.jobs.paths import PathKey, expand_home

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PASSWORD = re.compile(r"(://[^/:@\s]*):(?!\$\{\w+\}@)[^\s'\"]*@")
_SECRETS = (("sftp", "key_passphrase"),)
_PLACES = (("input", "path"), ("output", "to"), ("report", "dir"))


def parse_size(size: object) -> object:
    """Turn `"250MB"` into bytes; KB, MB, GB are powers of 1,000, KiB, MiB, GiB of 1,024."""
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if not match or match[2].upper() not in _UNITS:
            raise ValueError('a size is a number with a unit, such as "250MB" or "1GiB"')
        return int(Decimal(match[1]) * _UNITS[match[2].upper()])
    return size


def no_truth(value: object) -> object:
    """Refuse `true` where a number is wanted: Python would take it for 1."""
    if isinstance(value, bool):
        raise ValueError("a whole number is needed")
    return value


def as_list(value: object) -> object:
    """Take one item for a list of one."""
    return [value] if isinstance(value, str | int | Mapping) else value


Name = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""
PathText = Annotated[str, AfterValidator(expand_home)]
"""A path, with its `~` replaced. `PathKey` marks the key beside it."""


def _descriptions(section: type[BaseModel]) -> dict[str, str]:
    """Return the texts that stand below the fields of a section, and of those that it is made from."""
    found: dict[str, str] = {}
    for made_from in reversed(section.__mro__[: section.__mro__.index(BaseModel)]):
        (definition,) = ast.parse(inspect.getsource(made_from)).body
        assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker: the source of a class
        for statement, below in pairwise(definition.body):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


class Section(BaseModel):
    """A part of the job file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe each key by the text below it.

        Pydantic does so itself where it is told to, but whenever the models are made: that was half of their time.
        """
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, description in _descriptions(cls).items():
            properties[name]["description"] = description
        return schema


class Document(Section):
    """Something that a user writes: a file, flags, or arguments. What comes from the environment is never shown."""

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(self, /, **data: Any) -> None:
        given = {
            key: value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
            for key, value in data.items()
        }
        try:
            super().__init__(**_expand(given, ()))
        except ValidationError as error:
            variables = _variables_in(given)
            raise JobError(
                "E-JOB-INVALID",
                "\n".join(_printable(_concealed(said, variables)) for said in _sentences(error, given, type(self))),
            ) from error
        except JobError as error:
            error.reword(lambda text: _printable(_concealed(text, _variables_in(given))))
            raise
        self._given = given

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.public()!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @classmethod
    def load(cls, path: str | Path, changes: Mapping[str, Any] | None = None) -> Self:
        """Read a job file (TOML); `changes`, nested like it, go over what it says.

        Relative paths in the file are relative to its folder, those in `changes` to the working folder.
        """
        try:
            text = Path(path).read_text("utf-8-sig")
        except FileNotFoundError as error:
            raise JobError(
                "E-JOB-MISSING",
                f"There is no job file '{path}'.",
                "Write one, or give flags: aam-inbound convert --help.",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise JobError("E-JOB-READ", f"The job file '{path}' cannot be read: {_why(error)}.") from error
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise JobError("E-JOB-TOML", f"The job file '{path}' is not valid TOML: {error}.") from error
        located = _located(data, cls, Path(path).parent.resolve())
        return cls(**cls._of_it(merge(located, changes or {})))

    @classmethod
    def _of_it(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return what is meant for this of a job file."""
        return data

    def conceal(self, text: str) -> str:
        """Put `${VAR}` back where a text, such as an error, holds what the job took from the environment."""
        return _concealed(text, _variables_in(self._given))

    def conceal_path(self, path: str) -> str:
        """Do the same for a path, of which file names, which hold numbers of the job, must stay as they are."""
        places = [self._given.get(section, {}).get(key) for section, key in _PLACES]
        return _concealed(path, _variables_in(places))

    @contextlib.contextmanager
    def concealing(self) -> Iterator[None]:
        """Keep what the job took from the environment out of the errors that are raised inside."""
        try:
            yield
        except Reported as error:
            error.reword(self.conceal)
            raise

    def public(self) -> dict[str, Any]:
        """Return the job as plain data, without secrets: variables unexpanded, passwords masked."""
        shown = _public(self.model_dump(mode="json"), self._given, _variables_in(self._given))
        for section, key in _SECRETS:
            if section in shown and shown[section][key] and not _VARIABLE.fullmatch(shown[section][key]):
                shown[section][key] = "***"
        assert isinstance(shown, dict)  # noqa: S101 - for the type checker: a model dumps to a mapping
        return shown


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested `changes` over `base`; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_setting(text: str) -> dict[str, Any]:
    """Turn `output.mode=overwrite` into nested data; the value is TOML where it can be, else a text."""
    key, equals, value = text.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise JobError(
            "E-SET-MALFORMED",
            f"--set '{mask_password(text)}' is not of the form KEY=VALUE.",
            "For example: --set output.mode=overwrite.",
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if not isinstance(parsed, str | int | float | list | dict):  # no key of a job is a date
        parsed = value.strip()
    for name in reversed(names):
        parsed = {name: parsed}
    assert isinstance(parsed, dict)  # noqa: S101 - for the type checker: there is at least one name
    return parsed


def changes_of(settings: Iterable[str]) -> dict[str, Any]:
    """Turn settings, as `parse_setting` takes them, into nested data; what comes later counts."""
    changes: dict[str, Any] = {}
    for text in settings:
        changes = merge(changes, parse_setting(text))
    return changes


def _located(data: Mapping[str, Any], document: type[BaseModel], folder: Path) -> dict[str, Any]:
    """Return what a job file holds, with its paths, given and by default, relative to nothing instead of its folder."""
    located = dict(data)
    for section, field in document.model_fields.items():
        model, given = _model_in(field.annotation), located.get(section, {})
        if model is None or not isinstance(given, Mapping):
            continue
        for key, marks in path_keys(model):
            value = given.get(key, model.model_fields[key].default)
            if isinstance(value, str | list):
                located[section] = given = {**given, key: _located_texts(value, (section, key), marks, folder)}
    return located


def path_keys(section: type[BaseModel]) -> Iterator[tuple[str, PathKey]]:
    """Yield the keys of a section that are paths, with their marks."""
    for key, field in section.model_fields.items():
        yield from ((key, mark) for mark in field.metadata if isinstance(mark, PathKey))


def _located_texts(value: Any, place: tuple[str, str], mark: PathKey, folder: Path) -> Any:
    if isinstance(value, list):
        return [_located_texts(each, place, mark, folder) for each in value]
    return mark.located(value, _expand(value, place), folder) if isinstance(value, str) else value


def _expand(value: Any, place: tuple[str, ...]) -> Any:
    """Put environment variables in place of `${VAR}`, in every text."""
    if isinstance(value, Mapping):
        return {key: _expand(item, (*place, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_expand(item, place) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise JobError(
                "E-VARIABLE-UNSET",
                f"{'.'.join(place)} takes the environment variable {match[1]}, which is not set.",
                f"Set {match[1]}.",
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(variable, value)


def _variables_in(given: Any) -> dict[str, str]:
    """Return the environment variables that a job takes, by name."""
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return {name: value for item in given for name, value in _variables_in(item).items()}
    return {name: os.environ.get(name, "") for name in _VARIABLE.findall(given)} if isinstance(given, str) else {}


def _concealed(text: str, variables: Mapping[str, str]) -> str:
    """Put `${VAR}` in place of its value, the longest first, and stars in place of passwords."""
    for name, value in sorted(variables.items(), key=lambda variable: -len(variable[1])):
        if len(value) > 2:  # what is shorter stands anywhere by chance
            text = text.replace(value, f"${{{name}}}")
    return mask_password(text)


def _public(value: Any, given: Any, variables: Mapping[str, str]) -> Any:
    """Replace what came from the environment by what the user wrote, and passwords by stars."""
    if isinstance(value, dict):
        from_user = given if isinstance(given, Mapping) else {}
        return {key: _public(item, from_user.get(key), variables) for key, item in value.items()}
    if isinstance(value, list):
        from_list = given if isinstance(given, list | tuple) and len(given) == len(value) else [given] * len(value)
        return [_public(item, one, variables) for item, one in zip(value, from_list, strict=True)]
    if isinstance(given, str) and value is not None and _VARIABLE.search(given):
        return mask_password(given)
    return _concealed(value, variables) if isinstance(value, str) else value


def _printable(text: str) -> str:
    """Write control characters out."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], text)


def mask_password(url: str) -> str:
    """Return the URL with its password, if it has one, as stars."""
    return _PASSWORD.sub(r"\1:***@", url)


def _sentences(error: ValidationError, given: Mapping[str, Any], document: type[BaseModel]) -> Iterator[str]:
    """Say each thing that pydantic found in one sentence, with what the user wrote and never its expansion."""
    for found in error.errors():
        where = [part for part in found["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        wrote = _shown(given, where)
        match found["type"]:
            case "extra_forbidden":
                yield _unknown_key(where, key, document)
            case "missing":
                yield f"{key} is missing{flag_for(key)}."
            case "literal_error":
                allowed = re.findall(r"'([^']*)'", str(found.get("ctx", {}).get("expected", "")))
                names = " or ".join(filter(None, [", ".join(f"'{name}'" for name in allowed[:-1]), f"'{allowed[-1]}'"]))
                yield f"{key} is {wrote}; allowed is {names}{_nearest_to(wrote, found['input'], allowed)}"
            case "value_error":
                yield _own_sentence(str(found["ctx"]["error"]), key, wrote)
            case "model_type" | "dict_type" | "model_attributes_type":
                inside = isinstance(where[-1], int)
                yield f"{key} is {wrote}; " + (
                    "a text or a table is needed." if inside else f"a table is needed, as in [{key}]."
                )
            case "greater_than_equal" | "less_than_equal":
                least, most = found["ctx"].get("ge"), found["ctx"].get("le")
                yield f"{key} is {wrote}; at " + (
                    f"least {least} is needed." if most is None else f"most {most} is allowed."
                )
            case "too_short":
                yield f"{key} is empty; at least one is needed."
            case _:
                yield f"{key} is {wrote}; {_needed(found)}."


def _nearest_to(wrote: str, found: object, allowed: list[str]) -> str:
    """Name the nearest allowed text, but none for what came from the environment: it would tell what that holds."""
    return "." if _VARIABLE.search(wrote) else nearest(str(found), allowed) or "."


def _own_sentence(said: str, key: str, wrote: str) -> str:
    """Complete what a validator of ours said: whole sentences stand alone, the others get key and value."""
    return said if said.endswith(".") else f"{key} is {wrote}; {said}."


def _needed(found: Any) -> str:
    """Say what pydantic wants, in our words where it is about a type."""
    needed = {
        "int": "a whole number is needed",
        "bool": "true or false is needed",
        "string": "a text is needed",
        "tuple": "a list is needed",
        "list": "a list is needed",
    }
    for prefix, words in needed.items():
        if found["type"].startswith(prefix):
            return words
    return str(found["msg"])[:1].lower() + str(found["msg"])[1:]


def _unknown_key(where: list[int | str], key: str, document: type[BaseModel]) -> str:
    """Say that a key is unknown, with the nearest known one and all that are allowed there."""
    model: type[BaseModel] | None = document
    for part in where[:-1]:
        if isinstance(part, str) and model is not None and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    known = list(model.model_fields) if model else []
    name, section = str(where[-1]), ".".join(str(part) for part in where[:-1] if isinstance(part, str))
    known_keys = [full.rpartition(".") for full in all_keys(document)]
    elsewhere = [f"{there}.{last}" for there, _, last in known_keys if last == name and there != section]
    if elsewhere:
        return f"{key} is not a known key, did you mean '{elsewhere[0]}'?"
    if close := nearest(name, known):
        return f"{key} is not a known key{close}"
    return f"{key} is not a known key. Known in {section or 'a job'}: {', '.join(known)}."


def all_keys(document: type[BaseModel]) -> list[str]:
    """Return all keys of a job, with their sections."""
    return [
        f"{section}.{name}"
        for section, field in document.model_fields.items()
        if (model := _model_in(field.annotation))
        for name in model.model_fields
    ]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model in an annotation such as `tuple[Signal, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


def flag_for(key: str) -> str:
    """Name the flag that gives a key, where there is one."""
    flags = {
        "input": "--input FILE",
        "input.path": "--input FILE",
        "id": "--id COLUMN",
        "id.column": "--id COLUMN",
        "record": "--signal COLUMN or --trait COLUMN",
        "output": "--to FOLDER and --dpid NUMBER",
        "output.to": "--to FOLDER",
        "output.dpid": "--dpid NUMBER",
    }
    return f": give it in the job file or as {flags[key]}" if key in flags else ""


def _shown(given: Any, where: list[Any]) -> str:
    """Return what the user wrote at a place of the job, short and without passwords."""
    for part in where:
        if (isinstance(given, Mapping) and part in given) or (
            isinstance(given, list | tuple) and isinstance(part, int) and part < len(given)
        ):
            given = given[part]
    if isinstance(given, Mapping):
        return "a table"
    text = mask_password(str(given))
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def _why(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8"
