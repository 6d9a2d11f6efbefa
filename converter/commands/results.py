"""What a conversion came to: its report, and the error that a column has IDs of several types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from converter.commands.account import Account
from converter.commands.changes import counts_of
from converter.commands.encodings import encodings_of
from converter.commands.plan import Plan
from converter.commands.progress import Point
from converter.delivery.journal import RunRecord
from converter.errors import Finding, GuardError, Reported, redact
from converter.jobs.job import Job
from converter.jobs.run_files import rejects_path, report_path
from converter.jobs.sections.output import Output
from converter.ledger import Ledger
from converter.parts.part import Part
from converter.report import Report, ids_of, records_of, rule_warnings, signals_of
from converter.report.left_out import by_reason
from converter.report.meanings import meanings_of
from converter.rows.delta.changes import ChangeCounts
from converter.rows.frequency import Frequency
from converter.rows.stages import StageResults
from converter.spec.ids import ID_TYPES, RECOGNIZED
from converter.spec.rules import CASE_COLLISION

_MOST_FREQUENT = 3  # IDs in a warning


class Seen(NamedTuple):
    """What a report shows of a run beside counts.

    Examples of rows that are rejected and skipped, first lines, and how far it was over time.
    """

    examples: Sequence[Mapping[str, Any]] = ()
    skipped: Sequence[Mapping[str, Any]] = ()
    first_lines: Sequence[str] = ()
    pace: Sequence[Point] = ()


def report_of(
    plan: Plan,
    ledger: Ledger,
    results: StageResults,
    account: Account,
    *,
    sizes: Sequence[int],
    parts: Sequence[Part],
    warnings: Sequence[Finding],
    error: Reported | None = None,
    changes: ChangeCounts | None = None,
    foreseen: Mapping[str, Any] | None = None,
    has_rejects: bool = True,
    complete: bool = True,
    seen: Seen,
) -> Report:
    """Return the report of a run; `sizes` has the bytes of each origin of its input that were read.

    A run is `complete` that came to the end of its input.
    """
    job = plan.job
    return Report(
        name=plan.name.stem,
        input=[
            {"path": job.conceal_path(origin.label), "bytes": size}
            for origin, size in zip(plan.origins, sizes, strict=True)
        ],
        records=records_of(ledger),
        ids=ids_of(ledger, results),
        signals=signals_of(ledger),
        parts=list(parts),
        report_path=job.conceal_path(plan.report_path),
        rejects_path=job.conceal_path(plan.rejects_path) if has_rejects else None,
        encrypted_for=plan.key.fingerprint if plan.key else None,
        sent=plan.moment.sent.isoformat(),
        series=job.series,
        fingerprints=list(plan.fingerprints or ()),
        complete=complete,
        left_out=by_reason(plan.left_out),
        encodings=encodings_of(plan.sources, job),
        changes=counts_of(changes) if changes else None,
        foreseen=foreseen,
        meanings=meanings_of(ledger, plan.records.rules, job.ids),
        examples=list(seen.examples),
        skipped_examples=list(seen.skipped),
        first_lines=list(seen.first_lines),
        pace=[point._asdict() for point in seen.pace],
        warnings=[
            *plan.warnings,
            *account.warnings,
            *warnings,
            *warnings_of_rows(ledger),
            *rule_warnings(results.over_limit, "IDs"),
            *_collision_warnings(results),
        ],
        **account.facts(sum(sizes), error),
    )


def early_report(job: Job, name: str, account: Account, error: Reported | None) -> Report:
    """Return the report of a run that has failed before anything of its input was read."""
    return Report(
        name=name,
        input=[],
        records=records_of(Ledger()),
        ids=ids_of(Ledger(), StageResults()),
        signals=signals_of(Ledger()),
        parts=account.delivery.visible_parts() if account.delivery else [],
        report_path=None,
        rejects_path=None,
        series=job.series,
        complete=False,
        warnings=[*job.warnings, *account.warnings],
        **account.facts(0, error),
    )


def nothing_done(job: Job, run: RunRecord, account: Account) -> Report:
    """Return the report where an earlier run is finished, and there is nothing to do."""
    return replace(
        early_report(job, run.name, account, None),
        outcome="nothing to do",
        input=[{"path": file["path"], "bytes": file["size"]} for file in run.input if "list" not in file],
        report_path=job.conceal_path(report_path(job, run.name)),
        rejects_path=job.conceal_path(rejects_path(job, run.name)),
        encrypted_for=run.key,
        complete=True,
        warnings=[],
    )


def mixed_types(job: Job, types: Mapping[str, int]) -> GuardError:
    """Return the error that one column has IDs of several types, with an example of routes for them.

    `types` has the number of IDs by type.
    """
    present = [name for name in RECOGNIZED if name in types]
    counts = ", ".join(f"{types[name]:,} {name}" for name in present)
    routes = ", ".join(
        f"{name} = {{ {'target' if ID_TYPES[name].device else 'dpid'} = {_data_source(name, job.output)} }}"
        for name in present
    )
    return GuardError(
        "E-ID-TYPES-MIXED",
        f"The column '{redact(job.ids[0].column)}' has IDs of several types ({counts}); a file holds one (I1).",
        f"Nothing was published. Route them, in place of output.dpid: [output] route = {{ {routes} }}.",
    )


def _data_source(name: str, output: Output) -> int | None:
    """Return the data source that an example of a route names: that of Audience Manager's own IDs, or the job's."""
    return 0 if ID_TYPES[name].dpid == 0 else output.dpid


def warnings_of_rows(ledger: Ledger) -> list[Finding]:
    """Return warnings about rows that are written: by rule, and for columns whose values are words for missing ones."""
    return rule_warnings(ledger.warnings) + [
        Finding(
            "W-MISSING-WORDS",
            f"{count:,} values of the column '{redact(column)}' are words for missing values, such as NULL or N/A.",
            'They are sent as they are. If they mean nothing, list them: input.null_values = ["NULL", "N/A"].',
        )
        for column, count in sorted(ledger.missing_words.items())
    ]


def frequent_warnings(frequencies: Sequence[Frequency]) -> list[Finding]:
    """Return a warning where single IDs are on many lines of a set of files."""
    found = [each for frequency in frequencies for each in frequency.frequent()]
    if not found:
        return []
    shown = ", ".join(f"'{redact(each.masked)}' on about {each.share:.1%}" for each in found[:_MOST_FREQUENT])
    others = f", and {len(found) - _MOST_FREQUENT:,} others" if len(found) > _MOST_FREQUENT else ""
    return [
        Finding(
            "W-ID-FREQUENT",
            f"Single IDs are on many lines: {shown}{others}.",
            "Most likely that is a default or a test user: leave its rows out by input.filter, or list it in "
            "input.null_values.",
        )
    ]


def _collision_warnings(results: StageResults) -> list[Finding]:
    """Return the warning that IDs differ only by case, if there are any."""
    if not (results.collisions and results.collisions.ids):
        return []
    ids, users = results.collisions
    return [
        Finding(
            "W-ID-CASE-COLLISION", f"{CASE_COLLISION.name}: {ids:,} IDs, which would be {users:,} if case did not count"
        )
    ]
