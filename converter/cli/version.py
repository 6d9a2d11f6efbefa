"""`aam-inbound --version`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from converter._version import __version__
from converter.cli.outcome import Messages, Outcome


def version(messages: Messages, *, verbose: bool) -> Outcome:
    """Return the version, and with `verbose` or as JSON what results and speed depend on besides."""
    fields: dict[str, Any] = {"version": __version__}
    if verbose or messages.as_json:
        import platform
        from importlib.metadata import version as version_of

        from converter import kernel

        system = os.uname()
        status = kernel.status()
        fields |= {
            "python": platform.python_version(),
            "system": f"{system.sysname} {system.machine}",
            "polars": version_of("polars"),
            "pyarrow": version_of("pyarrow"),
            "kernel": {**status._asdict(), "message": f"The compiled loops are {status}"},
        }
    return Outcome(fields=fields, show=partial(_show, fields), prints_only=True)


def _show(fields: Mapping[str, Any]) -> None:
    print(f"aam-inbound {fields['version']}")
    if "kernel" in fields:
        print(f"Python {fields['python']} on {fields['system']}")
        print(f"Polars {fields['polars']}, pyarrow {fields['pyarrow']}")
        print(fields["kernel"]["message"])
