"""What is wrong with a document, in sentences: the key, its value, what is allowed, the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from converter.errors import nearest
from converter.jobs.secrets import SECRET_KEYS, VARIABLE, mask_password

_SHOWN = {"column", "key", "type"}  # keys of tables in lists, whose values are names
_MEANT = {
    "ios": "idfa",
    "apple": "idfa",
    "iphone": "idfa",
    "android": "gaid",
    "google": "gaid",
    "aaid": "gaid",
    "adid": "gaid",
    "roku": "rida",
    "microsoft": "maid",
    "windows": "maid",
    "samsung": "tifa",
    "amazon": "fire",
    "lg": "lgudid",
    "email": "hashed_email",
    "e-mail": "hashed_email",
    "customer": "crm",
    "dpuuid": "crm",
    "cookie": "uuid",
    "jsonl": "ndjson",
    "xlsx": "excel",
    "xls": "excel",
    "txt": "csv",
    "tab": "tsv",
    "pq": "parquet",
    "feather": "arrow",
    "add": "sync",
    "append": "sync",
    "incremental": "sync",
    "replace": "overwrite",
    "full": "overwrite",
    "gz": "gzip",
    "gpg": "pgp",
    "sha-256": "sha256",
    "lowercase": "lower",
    "uppercase": "upper",
}
"""What people write for values of keys, and what they mean where that is allowed."""


def describe(error: ValidationError, given: Mapping[str, Any], document: type[BaseModel]) -> Iterator[str]:
    """Yield one sentence for each error that pydantic reports, with the text that the user wrote, never its expansion.

    `given` is the data as the user wrote it, nested; `document` is the model that it was validated by.
    """
    for problem in error.errors():
        path = [part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        written = _written(given, path)
        match problem["type"]:
            case "extra_forbidden":
                yield _unknown_key(path, key, document)
            case "missing":
                yield f"{key} is missing{flag_for(key)}."
            case "literal_error":
                allowed = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
                names = " or ".join(filter(None, [", ".join(f"'{name}'" for name in allowed[:-1]), f"'{allowed[-1]}'"]))
                yield f"{key} is {written}; allowed is {names}{_nearest_allowed(written, problem['input'], allowed)}"
            case "value_error":
                yield _complete(str(problem["ctx"]["error"]), key, written)
            case "model_type" | "dict_type" | "model_attributes_type":
                inside = isinstance(path[-1], int)
                yield f"{key} is {written}; " + (
                    "a text or a table is needed." if inside else f"a table is needed, as in [{key}]."
                )
            case "greater_than_equal" | "less_than_equal":
                least, most = problem["ctx"].get("ge"), problem["ctx"].get("le")
                yield f"{key} is {written}; at " + (
                    f"least {least} is needed." if most is None else f"most {most} is allowed."
                )
            case "too_short":
                yield f"{key} is empty; at least one is needed."
            case _:
                yield f"{key} is {written}; {_describe_type(problem)}."


def _nearest_allowed(written: str, found: object, allowed: list[str]) -> str:
    """Name the nearest allowed text; none for a text from the environment, whose value it would reveal."""
    if VARIABLE.search(written):
        return "."
    meant = _MEANT.get(str(found).strip().casefold(), "")
    return f", did you mean '{meant}'?" if meant in allowed else nearest(str(found), allowed) or "."


def _complete(message: str, key: str, written: str) -> str:
    """Complete the message of one of our validators: a whole sentence stays, others get the key and its value."""
    return message if message.endswith(".") else f"{key} is {written}; {message}."


def _describe_type(found: Any) -> str:
    """Return what type is needed, in our own words where there are some."""
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
    """Return a sentence about an unknown key, with the nearest known key or all keys of its section."""
    model: type[BaseModel] | None = document
    for part in where[:-1]:
        if isinstance(part, str) and model is not None and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation)
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
    """Return all keys of a document with their sections, such as `output.to`."""
    return [
        f"{section}.{name}"
        for section, field in document.model_fields.items()
        if (model := model_in(field.annotation))
        for name in model.model_fields
    ]


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as `tuple[Signal, ...]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := model_in(inner))), None)


def flag_for(key: str) -> str:
    """Return a hint that names the flag that sets a key, or nothing where no flag does."""
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


def _written(given: Any, where: list[Any]) -> str:
    """Return the value that the user wrote at a path of the document, short and without passwords."""
    for part in where:
        if (isinstance(given, Mapping) and part in given) or (
            isinstance(given, list | tuple) and isinstance(part, int) and part < len(given)
        ):
            given = given[part]
    if isinstance(given, Mapping):
        shown = ", ".join(f"{key} = '{value}'" for key, value in given.items() if key in _SHOWN)
        return f"{{ {shown} }}" if given and set(given) <= _SHOWN else "a table"
    if SECRET_KEYS & set(where):
        return "'***'"
    text = mask_password(str(given))
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"
