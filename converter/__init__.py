"""Turns CRM tables into the inbound files that Adobe Audience Manager accepts.

from converter import Job, convert

report = convert(Job(input={"path": "crm.csv"}, id={"column": "crm_id"},
                     record={"signals": ["gender"]}, output={"to": "out", "dpid": 1234}))
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from converter._version import __version__

if TYPE_CHECKING:
    from converter.convert import Progress, convert
    from converter.doctor import doctor
    from converter.errors import ConverterError
    from converter.jobs.job import Job, SyncJob, Transfer
    from converter.match import match
    from converter.report import Report
    from converter.report.matches import Match
    from converter.send import send
    from converter.sync_urls import sync_urls

__all__ = [
    "ConverterError",
    "Job",
    "Match",
    "Progress",
    "Report",
    "SyncJob",
    "Transfer",
    "__version__",
    "convert",
    "doctor",
    "match",
    "send",
    "sync_urls",
]

_HOMES = {
    "convert": "convert",
    "Progress": "convert",
    "doctor": "doctor",
    "Job": "jobs.job",
    "SyncJob": "jobs.job",
    "Transfer": "jobs.job",
    "match": "match",
    "Match": "report.matches",
    "Report": "report",
    "ConverterError": "errors",
    "send": "send",
    "sync_urls": "sync_urls",
}


class _Package(ModuleType):
    """The package, with its public names imported when they are asked for: the command line starts quickly.

    `convert`, `doctor`, `match`, `send` and `sync_urls` are the functions, also once the modules of these names have
    been imported, which would take their place.
    """

    def __getattr__(self, name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'converter' has no attribute '{name}'")
        return getattr(importlib.import_module(f"converter.{_HOMES[name]}"), name)

    def __setattr__(self, name: str, value: object) -> None:
        if not (_HOMES.get(name) == name and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
