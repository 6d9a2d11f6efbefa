"""Makes `converter/jobs/keywords.py`, by which type checkers know the keys of jobs, from the sections of the job file.

`make tables` writes it; `make lint` fails where it is out of date.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from converter.jobs import job
from converter.jobs.document import path_keys
from converter.jobs.messages import model_in

PATH = Path(job.__file__).with_name("keywords.py")
_HEAD = '''"""The keys of jobs as dictionaries, for type checkers and editors: `Job(input={"path": "crm.csv"}, …)`.

Made from the sections of the job file: `make tables` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, Required, TypedDict

'''
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def text() -> str:
    """Return the module."""
    schema = job.Job.model_json_schema()
    models = {model.__name__: model for model in _sections(job.Job)}
    modules: dict[str, list[str]] = {}
    for name, model in models.items():
        modules.setdefault(model.__module__, []).append(name)
    lines = [f"from {module} import {', '.join(sorted(names))}\n" for module, names in sorted(modules.items())]
    for name, model in sorted(models.items()):
        lines += _dictionary(f"{name}Keys", model, _object(schema["$defs"][name]))
    lines += _dictionary("JobKeys", job.Job, schema)
    of_transfer = {key: schema["properties"][key] for key in job.Transfer.model_fields}
    lines += _dictionary("TransferKeys", job.Transfer, {"properties": of_transfer, "required": ["output"]})
    return _formatted(_HEAD + "".join(lines))


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield all models in the fields of a model, each once."""
    for field in model.model_fields.values():
        if inner := model_in(field.annotation):
            yield inner
            yield from _sections(inner)


def _object(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the definition of a section, which may also be given as a text or a number."""
    return next((each for each in definition.get("anyOf", ()) if "properties" in each), definition)


def _dictionary(name: str, model: type[BaseModel], definition: Mapping[str, Any]) -> Iterator[str]:
    paths = dict(path_keys(model))
    yield f'\n\nclass {name}(TypedDict, total=False):\n    """The keys of `{model.__name__}`."""\n\n'
    for key, value in definition["properties"].items():
        type_ = _type_of(value)
        if key in paths:
            type_ = type_.replace("str", "str | PathLike[str]")
        yield f"    {key}: {f'Required[{type_}]' if key in definition.get('required', ()) else type_}\n"


def _type_of(value: Mapping[str, Any]) -> str:
    """Return the type of a value, from its JSON schema."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        plain = {"Signal": "str | ", "Traits": "str | int | ", "Codes": "str | int | ", "Route": "int | "}
        return f"{plain.get(name, '')}{name} | {name}Keys"
    if "anyOf" in value:
        return " | ".join(dict.fromkeys(map(_type_of, value["anyOf"])))
    if "enum" in value or "const" in value:
        return f"Literal[{', '.join(map(repr, value.get('enum', [value.get('const')])))}]"
    if value["type"] == "array":
        return f"Sequence[{_type_of(value['items'])}]"
    if value["type"] == "object":
        return f"Mapping[str, {_type_of(value['additionalProperties'])}]"
    return _PLAIN[value["type"]]


def _formatted(module: str) -> str:
    for command in (["check", "--quiet", "--fix", "--select=I"], ["format"]):
        module = subprocess.run(
            [sys.executable, "-m", "ruff", *command, f"--stdin-filename={PATH}", "-"],
            input=module,
            capture_output=True,
            text=True,
            check=True,
            cwd=PATH.parent,
        ).stdout
    return module
