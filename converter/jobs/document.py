"""What users write: sections with keys, and documents made of sections, from a file, flags or a program.

A wrong key or value gives one sentence: the key, the value, what is allowed, the nearest known name. `${VAR}` in a text
is an environment variable; its value is never shown.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, PrivateAttr, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from converter.errors import JobError, Reported
from converter.jobs.arguments import plain, wrong_argument
from converter.jobs.events import concealed_events
from converter.jobs.messages import describe, model_in
from converter.jobs.paths import PathKey
from converter.jobs.secrets import (
    SECRET_KEYS,
    VARIABLE,
    conceal,
    expand,
    mask_password,
    passwords_in,
    public,
    variables_in,
)

_DOT = re.compile(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)')  # not between quotes, as in `s3.buckets."crm.exports"`
_QUOTED = re.compile(r'^"([^"]+)"$')
_PATHS = (
    ("input", "path"),
    ("input", "suppress", "path"),
    ("output", "to"),
    ("report", "dir"),
    ("report", "metrics"),
    ("delta", "state"),
)


def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields of a section and of its base classes, by field."""
    descriptions: dict[str, str] = {}
    for base in reversed(section.__mro__[: section.__mro__.index(BaseModel)]):
        (definition,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for the type checker: the source of a class
        for statement, below in pairwise(definition.body):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    descriptions[name] = inspect.cleandoc(text)
    return descriptions


class Section(BaseModel):
    """A section of the job file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe each key by the docstring below its field.

        Pydantic can do this itself, but then does it whenever the models are built, which doubled the time for that.
        """
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, description in descriptions(cls).items():
            properties[name]["description"] = description
        return schema


class Document(Section):
    """A whole document, from a file, flags or arguments. Values from the environment are never shown.

    Sections that are `literal` are data of the user: no variables are expanded in them, and nothing shows them.
    """

    literal: ClassVar[frozenset[str]] = frozenset()

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)
    _in_paths: dict[str, str] | None = PrivateAttr(default=None)
    _path: str | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Show the sections as the parameters that they are, in `help` and notebooks."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.is_required() else None,
                    annotation=f"{section.__name__} | dict" if (section := model_in(field.annotation)) else str,
                )
                for name, field in cls.model_fields.items()
            ]
        )

    def __init__(self, /, **data: Any) -> None:
        given = plain(data)
        literal = {name: given.pop(name) for name in self.literal & given.keys()}
        try:
            super().__init__(**expand(given, ()), **literal)
        except ValidationError as error:
            variables, passwords = _secrets_in(given)
            raise JobError(
                "E-JOB-INVALID",
                "\n".join(
                    _printable(conceal(text, variables, passwords))
                    for text in describe(error, {**given, **literal}, type(self))
                ),
            ) from error
        except JobError as error:
            error.reword(lambda text: _printable(conceal(text, *_secrets_in(given))))
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
    def of(cls, given: Document | str | os.PathLike[str]) -> Self:
        """Return the document that a function is given: itself, made of another one's sections, or from a job file.

        Raises `JobError`.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, Document):
            return cls(**cls._select(given._given))
        if isinstance(given, str | os.PathLike):
            return cls.load(given)
        raise wrong_argument("The first argument", given, f"a {cls.__name__} or the path of a job file")

    @classmethod
    def load(cls, path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Self:
        """Read a job file (TOML); `changes`, nested by section, take precedence.

        Relative paths in the file are relative to its folder, those in `changes` to the working folder. Raises
        `JobError`.
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
        hint = "" if str(path).endswith(".toml") else "If it is a table and no job file, name it in input.path."
        data = _resolve_paths(_parsed(text, f"The job file '{path}'", hint), cls, Path(path).parent.resolve())
        document = cls(**cls._select(merge(data, changes or {})))
        document._path = str(Path(path).resolve())
        return document

    @classmethod
    def loads(cls, text: str, changes: Mapping[str, Any] | None = None) -> Self:
        """Read the text of a job file (TOML); `changes` take precedence, as in `load`.

        Relative paths are relative to the working folder. Raises `JobError`.
        """
        return cls(**cls._select(merge(_parsed(text, "The job"), changes or {})))

    @property
    def path(self) -> str | None:
        """The absolute path of the job file, if it is from one."""
        return self._path

    @classmethod
    def _select(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a job file that this document takes."""
        return data

    def conceal(self, text: str) -> str:
        """Return a text, such as an error, with values from the environment and passwords replaced."""
        return conceal(text, *_secrets_in(self._given))

    def conceal_path(self, path: str) -> str:
        """Return a path with values from the environment replaced by `${VAR}` where the user wrote them in paths.

        Other values, such as a data source ID, stay: file names contain them.
        """
        if self._in_paths is None:  # once: an input may have thousands of files
            self._in_paths = variables_in([_at(self._given, path) for path in _PATHS])
        return mask_password(conceal(path, self._in_paths))

    @contextlib.contextmanager
    def concealing(self) -> Iterator[None]:
        """Conceal values from the environment in errors that are raised inside, and in what is logged."""
        try:
            with concealed_events(self.conceal, self.conceal_path):
                yield
        except Reported as error:
            error.reword(self.conceal)
            raise

    def public(self) -> dict[str, Any]:
        """Return the document as plain data without secrets: variables not expanded, passwords masked."""
        data = public(self.model_dump(mode="json", exclude=set(self.literal)), self._given, variables_in(self._given))
        assert isinstance(data, dict)  # noqa: S101 - for the type checker: a model dumps to a mapping
        for section in data.values():
            _mask_secrets(section)
        return data


def _parsed(text: str, what: str, hint: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = hint or 'Texts are in double quotes, as in path = "crm.csv", and sections in brackets, as in [input].'
        raise JobError("E-JOB-TOML", f"{what} is not valid TOML: {error}.", hint) from error


def _mask_secrets(section: Any) -> None:
    """Replace the secrets of a section, and of sections in it, by stars."""
    if not isinstance(section, dict):
        return
    for key, value in section.items():
        if key in SECRET_KEYS and value and not VARIABLE.fullmatch(value):
            section[key] = "***"
        _mask_secrets(value)


def _secrets_in(given: Mapping[str, Any]) -> tuple[dict[str, str], set[str]]:
    """Return the variables and the passwords in nested data, as `conceal` takes them."""
    passwords: set[str] = set()
    with contextlib.suppress(JobError):  # a variable that is not set
        passwords.update(passwords_in(expand(given, ())))
    return variables_in(given), passwords | set(passwords_in(given))


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested data with `changes` merged into `base`; lists and values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_setting(text: str) -> dict[str, Any]:
    """Return nested data for a setting such as `output.mode=overwrite`; a value that is not TOML is a text."""
    key, equals, value = _without_open_quote(text).partition("=")
    names = [_QUOTED.sub(r"\1", name) for name in _DOT.split(key.strip())]
    if not equals or not all(names):
        raise JobError(
            "E-SET-MALFORMED",
            f"--set '{_shown_setting(text)}' is not of the form KEY=VALUE.",
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


def _without_open_quote(text: str) -> str:
    """Return a setting. Raises `JobError` where its key, or a text as its value, has a quote that is not closed.

    A value that is a quote alone is one, as for `input.quote`.
    """
    key, _, value = text.partition("=")
    value = value.strip()
    if key.count('"') % 2 or (value[:1] in ('"', "'") and len(value) > 1 and value.count(value[0]) == 1):
        raise JobError(
            "E-SET-MALFORMED",
            f"--set '{_shown_setting(text)}' has a quote that is not closed.",
            "The shell takes quotes away: --set 'input.separator=\";\"'.",
        )
    return text


def _shown_setting(text: str) -> str:
    """Return a malformed setting without its secrets."""
    return re.sub(rf"({'|'.join(SECRET_KEYS)})\b.+", r"\1…", mask_password(text), flags=re.DOTALL)


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return nested data for settings (see `parse_setting`); later ones take precedence."""
    changes: dict[str, Any] = {}
    for text in settings:
        changes = merge(changes, parse_setting(text))
    return changes


def _resolve_paths(data: Mapping[str, Any], document: type[BaseModel], folder: Path) -> dict[str, Any]:
    """Return the content of a job file with its paths, including defaults, made absolute by its folder."""
    resolved = dict(data)
    for section, field in document.model_fields.items():
        model, given = model_in(field.annotation), resolved.get(section, {})
        if model is None or not isinstance(given, Mapping):
            continue
        if (found := _resolve_section(model, given, (section,), folder)) or section in data:
            resolved[section] = found
    return resolved


def _resolve_section(
    model: type[BaseModel], given: Mapping[str, Any], path: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Return a section with its paths, including defaults, made absolute by a folder, and those of sections in it."""
    resolved = dict(given)
    for key, mark in path_keys(model):
        value = given.get(key, model.model_fields[key].default)
        if isinstance(value, str | list):
            resolved[key] = _resolve(value, (*path, key), mark, folder)
    for key, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner and isinstance(value := given.get(key), Mapping):
            resolved[key] = _resolve_section(inner, value, (*path, key), folder)
    return resolved


def _at(data: Any, path: Sequence[str]) -> Any:
    """Return what is at a path of nested data; `None` where there is nothing."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def path_keys(section: type[BaseModel]) -> Iterator[tuple[str, PathKey]]:
    """Yield the keys of a section whose values are paths, with their `PathKey`."""
    for key, field in section.model_fields.items():
        yield from ((key, mark) for mark in field.metadata if isinstance(mark, PathKey))


def _resolve(value: Any, path: tuple[str, ...], mark: PathKey, folder: Path) -> Any:
    if isinstance(value, list):
        return [_resolve(each, path, mark, folder) for each in value]
    return mark.resolve(value, expand(value, path), folder) if isinstance(value, str) else value


def _printable(text: str) -> str:
    """Return a text with control characters escaped."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], text)


def _why(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8"
