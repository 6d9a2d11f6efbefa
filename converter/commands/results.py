"""What a conversion came to: its report, and the error that a column has IDs of several types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converter.commands.plan import Plan
from converter.delivery.journal import RunRecord
from converter.errors import ColumnError, Finding, redact
from converter.jobs.job import Job
from converter.jobs.run_files import rejects_path, report_path
from converter.jobs.sections.output import Output
from converter.ledger import Ledger
from converter.parts.writing import Part
from converter.report import Outcome, Report, ids_of, records_of, rule_warnings, signals_of
from converter.rows.stages import StageResults
from converter.spec.ids import ID_TYPES, RECOGNIZED
from converter.spec.rules import CASE_COLLISION


def report_of(
    plan: Plan,
    ledger: Ledger,
    results: StageResults,
    parts: list[Part],
    outcome: Outcome,
    seconds: float,
    *,
    sizes: Sequence[int],
    bytes_read: int,
    warnings: Sequence[Finding],
    complete: bool = True,
) -> Report:
    """Return the report of a run, which took `seconds`; `sizes` has the bytes of each origin of its input.

    `bytes_read` were read, all of them where the run is `complete`: it came to the end of its input.
    """
    job = plan.job
    return Report(
        name=plan.name.stem,
        job=job.public(),
        input=[
            {"path": job.conceal_path(origin.label), "bytes": size}
            for origin, size in zip(plan.origins, sizes, strict=True)
        ],
        records=records_of(ledger),
        ids=ids_of(ledger, results),
        signals=signals_of(ledger),
        parts=parts,
        seconds=round(seconds, 3),
        bytes_per_second=round((sum(sizes) if complete else bytes_read) / max(seconds, 1e-3)),
        outcome=outcome,
        report_path=job.conceal_path(str(plan.report_path)),
        rejects_path=job.conceal_path(str(plan.rejects_path)),
        encrypted_for=plan.key.fingerprint if plan.key else None,
        complete=complete,
        warnings=[
            *job.warnings,
            *warnings,
            *rule_warnings(ledger.warnings),
            *rule_warnings(results.over_limit, "IDs"),
            *_collision_warnings(results),
        ],
    )


def nothing_done(job: Job, run: RunRecord) -> Report:
    """Return the report where an earlier run is finished, and there is nothing to do."""
    return Report(
        name=run.name,
        job=job.public(),
        input=[{"path": file["path"], "bytes": file["size"]} for file in run.input],
        records=records_of(Ledger()),
        ids=ids_of(Ledger(), StageResults()),
        signals=signals_of(Ledger()),
        parts=[],
        seconds=0.0,
        bytes_per_second=0,
        outcome="nothing to do",
        report_path=job.conceal_path(str(report_path(job, run.name))),
        rejects_path=job.conceal_path(str(rejects_path(job, run.name))),
        encrypted_for=run.key,
    )


def mixed_types(job: Job, types: Mapping[str, int]) -> ColumnError:
    """Return the error that one column has IDs of several types, with an example of routes for them.

    `types` has the number of IDs by type.
    """
    present = [name for name in RECOGNIZED if name in types]
    counts = ", ".join(f"{types[name]:,} {name}" for name in present)
    routes = ", ".join(
        f"{name} = {{ {'target' if ID_TYPES[name].device else 'dpid'} = {_data_source(name, job.output)} }}"
        for name in present
    )
    return ColumnError(
        "E-ID-TYPES-MIXED",
        f"The column '{redact(job.ids[0].column)}' has IDs of several types ({counts}); a file holds one (I1).",
        f"Nothing was published. Route them, in place of output.dpid: [output] route = {{ {routes} }}.",
    )


def _data_source(name: str, output: Output) -> int | None:
    """Return the data source that an example of a route names: that of Audience Manager's own IDs, or the job's."""
    return 0 if ID_TYPES[name].dpid == 0 else output.dpid


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
