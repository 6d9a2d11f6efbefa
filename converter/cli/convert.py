"""`aam-inbound convert`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from converter.cli import options
from converter.cli.log_file import logged
from converter.cli.outcome import Messages, Outcome, Work
from converter.cli.preamble import changes_from, loading
from converter.cli.progress import Mode, showing
from converter.errors import JobError

if TYPE_CHECKING:
    from converter.jobs.job import Job
    from converter.report import Report


def convert(
    job_files: options.JobFiles = None,
    *,
    input_: options.Input = None,
    format_: options.Format = None,
    to: options.To = None,
    dpid: options.Dpid = None,
    target: options.Target = None,
    mode: options.OutputMode = None,
    id_: options.IdColumn = None,
    id_type: options.IdType = None,
    signal_: options.Signals = None,
    trait: options.Traits = None,
    trait_list: options.TraitList = None,
    set_: options.Settings = None,
    max_rejects: options.MaxRejects = None,
    max_cleared: options.MaxCleared = None,
    yes: options.Yes = False,
    allow_both_modes: options.AllowBothModes = False,
    accept_volume: options.AcceptVolume = False,
    rejects_of: options.RejectsOf = None,
    report_dir: options.ReportDir = None,
    log_file: options.LogFile = None,
    engine: options.Engine = None,
    master: options.Master = None,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    full: options.Full = False,
    progress: options.Progress = "auto",
    quiet: options.Quiet = False,
    strict: options.Strict = False,
    force: options.Force = False,
    json_: options.Json = False,
    debug: options.Debug = False,
) -> Work:
    """Convert tables into inbound files, with a job file or options.

    Options take precedence over the job file, and --set over other options. Several job files run one after another.

    \b
    Examples:
      aam-inbound convert job.toml
      aam-inbound convert crm.csv --id crm_id --dpid 1234 --signal gender --signal city=home_city --to out/
      aam-inbound convert jobs/*.toml
    """  # noqa: D301 - \b keeps the lines that follow as they are
    del json_, debug  # `Messages.of` reads them
    both, max_change = allow_both_modes or None, "off" if accept_volume else None
    signals, traits = list(map(_signal, signal_ or ())) or None, list(map(_trait, trait or ())) or None
    flags = {
        **_keys("input", path=input_ or None, format=format_, rejects_of=rejects_of),
        **_keys("id", column=id_, type=id_type),
        **_keys("record", signals=signals, traits=traits),
        **_keys("output", to=to, dpid=dpid, target=target, mode=mode, force=force or None, allow_both_modes=both),
        **_keys("delta", full=full or None),
        **_keys("report", max_rejects=max_rejects, max_cleared="100%" if yes else max_cleared, traits=trait_list),
        **_keys("report", max_change=max_change, dir=report_dir),
    }
    shown: Mode = "off" if quiet and progress == "auto" else progress
    run = partial(_run, _engine(engine, master), progress=shown, dry_run=dry_run, resume=resume, strict=strict)
    return logged(log_file, partial(_convert, job_files or (), flags, set_ or (), run, shows_each=dry_run))


def _keys(section: str, **values: Any) -> dict[str, Any]:
    """Return the keys of a section, as --set names them, with their values."""
    return {f"{section}.{key}": value for key, value in values.items()}


def _convert(
    arguments: Sequence[str],
    flags: dict[str, Any],
    settings: Iterable[str],
    run: Callable[[Job, Messages], Outcome],
    messages: Messages,
    *,
    shows_each: bool,
) -> Outcome:
    """Run the job of a command line, or the jobs; `shows_each` is for `run_all`."""
    from converter.commands.many_jobs import job_files, load_jobs

    if (paths := job_files(arguments)) is None:
        job = _job(next(iter(arguments), None), flags, settings)
        _load(job.run.threads)
        return run(job, messages)
    from converter.cli.many_jobs import check_options, run_all  # here, since most command lines have one job

    check_options(flags)
    jobs = load_jobs(paths, changes_from(flags, settings))
    threads = [job.run.threads for job in jobs.values()]
    _load(max(filter(None, threads)) if all(threads) else None)
    return run_all(jobs, lambda job: run(job, messages), messages, shows_each=shows_each)


def _load(threads: int | None) -> None:
    """Load what converts; see `loading`."""
    with loading(threads):
        import converter.cli.summary
        import converter.commands.convert  # noqa: F401 - to load it


def _engine(engine: str | None, master: str | None) -> Callable[[], Callable[..., Report]]:
    """Return what loads the function that converts. Raises `JobError` where the options do not fit together."""

    def on_this_machine() -> Callable[..., Report]:
        from converter.commands.convert import convert

        return convert

    def on_spark() -> Callable[..., Report]:
        from converter.spark.engine import convert  # here, since few command lines use it

        return partial(convert, master=master)

    if engine not in (None, "spark"):
        raise JobError("E-USAGE", f"--engine is '{engine}', but spark is the only one beside this machine.")
    if master is not None and engine is None:
        raise JobError("E-USAGE", "--master is for --engine spark.", "Give both, or none of them.")
    return on_spark if engine else on_this_machine


def _run(
    engine: Callable[[], Callable[..., Report]],
    job: Job,
    messages: Messages,
    *,
    progress: Mode,
    dry_run: bool,
    resume: bool,
    strict: bool,
) -> Outcome:
    """Run one job, once what converts is loaded."""
    from converter.cli import summary

    if dry_run:
        return _dry_run(job, messages, strict=strict)
    run = engine()
    with showing(progress, messages) as update:
        report = run(job, progress=update, notify=messages.notice, warn=messages.warn, resume=resume, strict=strict)
    messages.warn(report.warnings)
    return Outcome(
        report.outcome,
        fields=report.as_dict(),
        show=Outcome.show if messages.quiet or messages.events else partial(summary.show, report),
        warnings=report.warnings,
    )


def _dry_run(job: Job, messages: Messages, *, strict: bool) -> Outcome:
    from converter.cli import preview
    from converter.commands import clearing, modes
    from converter.commands.encodings import encoding_notices
    from converter.commands.estimate import too_many
    from converter.commands.plan import plan
    from converter.commands.results import warnings_of_rows
    from converter.commands.volume import VolumeGuard
    from converter.commands.warnings import strict_error
    from converter.delivery.run_files import run_files_of
    from converter.delivery.threads import close_connections
    from converter.report.left_out import left_out_notices

    checked = plan(job)
    close_connections(checked.destination)
    for notice in (*left_out_notices(checked.left_out), *encoding_notices(checked.sources, job)):
        messages.notice(notice)
    shown = preview.preview_of(checked)
    warnings = [*checked.warnings, *warnings_of_rows(shown.estimate.ledger)]
    with closing(run_files_of(job)) as files:
        errors = (
            too_many(checked, shown.estimate),
            clearing.of_estimate(job, shown.estimate),
            modes.other_mode(job, files, checked.names, checked.moment.sent),
            VolumeGuard(job, files).of_estimate(shown.estimate),
            strict_error(warnings) if strict and warnings else None,
        )
    error = next(filter(None, errors), None)
    outcome = Outcome.of(error) if error else Outcome(prints_only=True)
    messages.warn(warnings)
    return replace(outcome, fields=preview.as_dict(shown), show=partial(preview.show, shown), warnings=warnings)


def _job(job_file: str | None, flags: dict[str, Any], settings: Iterable[str]) -> Job:
    """Return the job of a file, flags and settings; a first argument that is not a job file is an input."""
    from converter.jobs.job import Job

    changes = changes_from(flags, settings)
    if job_file is None:
        return Job(**changes)
    if job_file.endswith(".toml"):
        return Job.load(job_file, changes)
    if isinstance(section := changes.setdefault("input", {}), dict):  # otherwise the job reports the error
        given = section.get("path", [])
        section["path"] = [job_file, *(given if isinstance(given, list) else [given])]
    return Job(**changes)


def _signal(text: str) -> dict[str, str] | str:
    column, equals, key = text.rpartition("=")
    return {"column": column, "key": key} if equals else text


def _trait(text: str) -> dict[str, str] | int:
    if text.isascii() and text.isdigit():
        return int(text)
    column, equals, separator = text.partition("=")
    return {"column": column, "separator": separator} if equals else {"column": column}
