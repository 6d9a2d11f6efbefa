"""The options that commands share, and the longer ones, each with its one description."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from converter.cli import completion
from converter.cli.progress import Mode

JobFiles: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB.toml…",
        help="Job file, or an input file, glob or folder; or several job files, or a folder of them.",
    ),
]
Input: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="PATH", help="A file, glob, folder or - to read; repeatable."),
]
Format: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="csv, tsv, parquet, ndjson, json, arrow or excel; else by the suffix.",
        autocompletion=completion.formats,
    ),
]
To: TypeAlias = Annotated[
    str | None, typer.Option("--to", metavar="URL", help="Destination: a folder, s3://, ftp://, ftps:// or sftp://.")
]
Dpid: TypeAlias = Annotated[
    int | None, typer.Option("--dpid", metavar="NUMBER", help="Data source ID of the user IDs.")
]
OutputMode: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mode", metavar="NAME", help="sync (adds) or overwrite (replaces).", autocompletion=completion.modes
    ),
]
IdColumn: TypeAlias = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column with the user IDs.", autocompletion=completion.columns),
]
IdType: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--id-type",
        metavar="NAME",
        help="Type of the IDs: crm, uuid, ecid, gaid, idfa, hashed_email …",
        autocompletion=completion.id_types,
    ),
]
JobOption: TypeAlias = Annotated[
    str | None, typer.Option("--job", metavar="JOB.toml", help="Job file, where the arguments are files.")
]
Signals: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--signal",
        metavar="COLUMN[=KEY]",
        help="Column to send as a key-value pair; repeatable.",
        autocompletion=completion.columns,
    ),
]
Traits: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--trait",
        metavar="COLUMN[=SEPARATOR]|NUMBER",
        help="Column of trait IDs, or one trait ID for all rows; repeatable.",
        autocompletion=completion.columns,
    ),
]
ReportDir: TypeAlias = Annotated[
    str | None, typer.Option("--report-dir", metavar="FOLDER", help="Folder for the report and the rejects. [reports]")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of the job file, such as run.threads=2; repeatable.",
        autocompletion=completion.settings,
    ),
]
MaxRejects: TypeAlias = Annotated[
    str | None,
    typer.Option("--max-rejects", metavar="N|P%", help="Most rows that may be rejected before the run fails. [10%]"),
]
MaxCleared: TypeAlias = Annotated[
    str | None,
    typer.Option("--max-cleared", metavar="N|P%", help="Most users that may be cleared by record.empty. [0]"),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Clear any number of users, as --max-cleared 100% does.")]
AllowBothModes: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-both-modes", help="Let .sync and .overwrite files of a data source go to a place on one day."
    ),
]
AcceptVolume: TypeAlias = Annotated[
    bool,
    typer.Option("--accept-volume", help="Let this run read and write any amount, whatever report.max_change says."),
]
RejectsOf: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rejects-of",
        metavar="REPORT.json",
        help="Convert only the rows that the run of this report has rejected.",
    ),
]
LogFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--log-file",
        metavar="PATH",
        help="Append what happens, with times: text, or JSON lines for *.jsonl and *.json.",
    ),
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Finish an interrupted run of the same job; start a new one if there is none.")
]
Engine: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="spark",
        help="Convert in tasks of Apache Spark, as docs/spark.md says; else on this machine.",
    ),
]
Master: TypeAlias = Annotated[
    str | None,
    typer.Option("--master", metavar="URL", help="The cluster of --engine spark: spark://, yarn, sc:// or local[N]."),
]
Full: TypeAlias = Annotated[bool, typer.Option("--full", help="Send all users, and renew the state (delta.full).")]
TraitList: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--traits",
        metavar="FILE",
        help="The traits of Audience Manager (JSON or CSV): says what its receipt will say.",
    ),
]
Target: TypeAlias = Annotated[
    int | None, typer.Option(metavar="NUMBER", help="Data source ID that the traits belong to.")
]
DryRun: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything and show what would be done, with a sample of the rows; write nothing."
    ),
]
Progress: TypeAlias = Annotated[
    Mode, typer.Option(metavar="auto|json|off", help="How progress is shown, on standard error.")
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Send IDs of one type to the global data source of another type.")
]
Strict: TypeAlias = Annotated[
    bool, typer.Option("--strict", help="Warnings are errors: with any, nothing is published.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show where an error comes from, as a traceback.")]
