"""What a run says about encodings: those that were found by file, and that of rows that are not in the job's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from converter.errors import Finding, InputError
from converter.jobs.job import Job
from converter.jobs.sections.table import AUTO
from converter.sources.base import Encoding, Source
from converter.sources.encodings import described, encoding_of, has_utf8_lines, hint_of
from converter.sources.malformed import MalformedRows
from converter.sources.origins.base import Origin
from converter.sources.texts import TextSource
from converter.spec.rules import ROW_NOT_TEXT

_MOST_PATHS, _MOST_NAMED = 100, 3
_MOST_SAMPLE = 1 << 16  # bytes of an input
_MOST_INPUTS = 10


def encodings_of(sources: Sequence[Source], job: Job) -> list[Mapping[str, Any]]:
    """Return what the report says about encodings that were found."""
    return [
        {"encoding": name, "certainty": certainty, "files": len(paths), "paths": paths[:_MOST_PATHS]}
        for (name, certainty), paths in _found(sources, job).items()
    ]


def encoding_notices(sources: Sequence[Source], job: Job) -> list[str]:
    """Return sentences about encodings that were found."""
    sentences = []
    for (name, certainty), paths in _found(sources, job).items():
        shown = ", ".join(f"'{PurePath(path).name}'" for path in paths[:_MOST_NAMED])
        more = f" and {len(paths) - _MOST_NAMED:,} more" if len(paths) > _MOST_NAMED else ""
        sentences.append(f"{shown}{more}: read as {described(name)}, {certainty}.")
    return sentences


def _found(sources: Sequence[Source], job: Job) -> dict[Encoding, list[str]]:
    found: dict[Encoding, list[str]] = {}
    for source in sources:
        if isinstance(source, TextSource) and source.found:
            found.setdefault(source.found, []).append(job.conceal_path(source.origin.label))
    return found


class OtherEncodings:
    """Rows of a run that are not in the encoding of their input, by input: how many, and some of them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._rows: dict[str, int] = {}
        self._samples: dict[str, bytes] = {}
        self._origins: dict[str, Origin] = {}

    def add(self, origin: Origin, malformed: MalformedRows) -> None:
        """Take the malformed rows of a part of an input."""
        if not malformed.not_text or not (count := malformed.counts()[ROW_NOT_TEXT.name]):
            return
        label = origin.label
        self._origins[label] = origin
        self._rows[label] = self._rows.get(label, 0) + count
        sample = self._samples.get(label, b"")
        if len(sample) < _MOST_SAMPLE:
            self._samples[label] = sample + malformed.not_text + b"\n"

    def warnings(self) -> Iterator[Finding]:
        """Yield what they are most likely in, for the first inputs."""
        options = self._job.input
        expected = "in the encoding that was found" if options.encoding == AUTO else described(options.encoding)
        for label, rows in list(self._rows.items())[:_MOST_INPUTS]:
            hint = hint_of(encoding_of(self._samples[label]))
            is_mixed = False
            with contextlib.suppress(InputError):  # it can be read once, or is gone: then it is not known
                is_mixed = has_utf8_lines(self._origins[label], options.member)
            if is_mixed:
                hint = f"Other rows of it are UTF-8, so it is a mixture: correct the export. {hint}".rstrip()
            elif hint and options.encoding != AUTO:
                hint = f'{hint[:-1]}, or "auto".'
            count, path = "1 row was" if rows == 1 else f"{rows:,} rows were", self._job.conceal_path(label)
            yield Finding(
                "W-ENCODING-OTHER",
                f"{count} rejected since '{path}' is not {expected} there.",
                hint or "Set input.encoding to what the file is written in.",
            )
