"""Converts CRM tables to the inbound files of Adobe Audience Manager.

from converter import Job, convert

report = convert("job.toml")
report = convert(Job(input={"path": "crm.csv"}, id={"column": "crm_id"},
                     record={"signals": ["gender"]}, output={"to": "out", "dpid": 1234}))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from converter._version import __version__

if TYPE_CHECKING:
    from converter.commands.check_files import check
    from converter.commands.convert import convert
    from converter.commands.doctor import doctor
    from converter.commands.examples import check_examples
    from converter.commands.foresee import foresee
    from converter.commands.inspect import inspect
    from converter.commands.match import match
    from converter.commands.progress import Progress
    from converter.commands.read_outbound import read_outbound
    from converter.commands.receipt import receipt
    from converter.commands.record_examples import Recorded, record_examples
    from converter.commands.send import send
    from converter.commands.sync_urls import sync_urls
    from converter.commands.taxonomy import taxonomy
    from converter.errors import (
        ConverterError,
        DestinationError,
        Finding,
        GuardError,
        InputError,
        JobError,
        TooManyRejectsError,
    )
    from converter.jobs.access import Access
    from converter.jobs.file_access import FileAccess
    from converter.jobs.job import Job, Transfer
    from converter.jobs.outbound import OutboundInput
    from converter.jobs.reading import Reading
    from converter.jobs.sections.run import RunOptions
    from converter.jobs.sections.table import Input
    from converter.jobs.url_job import UrlJob
    from converter.ledger import Ledger
    from converter.report import Report, SendReport
    from converter.report.checks import CheckReport
    from converter.report.examples import ExamplesReport
    from converter.report.foreseen import Foreseen
    from converter.report.inspections import Inspection
    from converter.report.matches import Match
    from converter.report.outbound import OutboundReport
    from converter.report.receipts import ReceiptReport
    from converter.report.taxonomy import Taxonomy
    from converter.sources.origins.base import LeftOut

__all__ = [
    "Access",
    "CheckReport",
    "ConverterError",
    "DestinationError",
    "ExamplesReport",
    "FileAccess",
    "Finding",
    "Foreseen",
    "GuardError",
    "Input",
    "InputError",
    "Inspection",
    "Job",
    "JobError",
    "Ledger",
    "LeftOut",
    "Match",
    "OutboundInput",
    "OutboundReport",
    "Progress",
    "Reading",
    "ReceiptReport",
    "Recorded",
    "Report",
    "RunOptions",
    "SendReport",
    "Taxonomy",
    "TooManyRejectsError",
    "Transfer",
    "UrlJob",
    "__version__",
    "check",
    "check_examples",
    "convert",
    "doctor",
    "foresee",
    "inspect",
    "match",
    "read_outbound",
    "receipt",
    "record_examples",
    "send",
    "sync_urls",
    "taxonomy",
]

_MODULES = {
    "Access": "jobs.access",
    "CheckReport": "report.checks",
    "ConverterError": "errors",
    "DestinationError": "errors",
    "ExamplesReport": "report.examples",
    "FileAccess": "jobs.file_access",
    "Finding": "errors",
    "Foreseen": "report.foreseen",
    "GuardError": "errors",
    "Input": "jobs.sections.table",
    "InputError": "errors",
    "Inspection": "report.inspections",
    "Job": "jobs.job",
    "JobError": "errors",
    "Ledger": "ledger",
    "LeftOut": "sources.origins.base",
    "Match": "report.matches",
    "OutboundInput": "jobs.outbound",
    "OutboundReport": "report.outbound",
    "Progress": "commands.progress",
    "Reading": "jobs.reading",
    "ReceiptReport": "report.receipts",
    "Recorded": "commands.record_examples",
    "Report": "report",
    "RunOptions": "jobs.sections.run",
    "SendReport": "report",
    "Taxonomy": "report.taxonomy",
    "TooManyRejectsError": "errors",
    "Transfer": "jobs.job",
    "UrlJob": "jobs.url_job",
    "check": "commands.check_files",
    "check_examples": "commands.examples",
    "convert": "commands.convert",
    "doctor": "commands.doctor",
    "foresee": "commands.foresee",
    "inspect": "commands.inspect",
    "match": "commands.match",
    "read_outbound": "commands.read_outbound",
    "receipt": "commands.receipt",
    "record_examples": "commands.record_examples",
    "send": "commands.send",
    "sync_urls": "commands.sync_urls",
    "taxonomy": "commands.taxonomy",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the command line starts quickly."""
    if name not in _MODULES:
        raise AttributeError(f"module 'converter' has no attribute '{name}'")
    return getattr(importlib.import_module(f"converter.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, though they are not imported yet, for `dir`, `help` and completion."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
