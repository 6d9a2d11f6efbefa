"""Typical mistakes, made on the real command line: `python -m tests.mistakes` writes what it says to `mistakes.toml`.

Whoever changes a message writes the file anew, and rereads what has changed in it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from .servers.ftp import ftp_server
from .servers.sftp import SftpServer

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests" / "mistakes.toml"
JOB = "--id crm_id --dpid 1234 --signal city --to out"
ROWS = [{"crm_id": "customer-1", "city": "Bern"}, {"crm_id": "customer-2", "city": "Basel"}]
CSV = "crm_id,city,Country,trait_ids,email\n" + "".join(
    f"customer-{number},Bern,Switzerland,8100099,ann{number}@example.com\n" for number in range(5)
)
JOB_FILE = """[input]
path = "crm.csv"
[id]
column = "crm_id"
[record]
signals = ["city"]
[output]
to = "out"
dpid = 1234
"""
_VOLATILE = (
    (r"_[0-9]{10}\.", "_TIMESTAMP."),
    (r"(?<=\.)[0-9a-f]{12}(?=\.)", "JOB"),
    (r"failed-[0-9]+", "failed-N"),
    (r"date=[0-9-]{10}", "date=DATE"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
    (r"(localhost|127\.0\.0\.1)(:|\]:)[0-9]+", r"\1\2PORT"),
)


@dataclass(frozen=True)
class Mistake:
    """A mistake: its command line, and what is said: the exit code, the code, what it names, and the whole text."""

    what: str
    run: str
    names: tuple[str, ...]
    exit: int = 0
    code: str = ""
    says: str = ""


@dataclass(frozen=True)
class Place:
    """A folder to make mistakes in, and the servers beside it."""

    folder: Path
    ports: dict[str, int]

    def make(self, mistake: Mistake) -> Mistake:
        """Make a mistake; return it with what is said now."""
        line = mistake.run.replace("JOB", JOB)
        for name, port in self.ports.items():
            line = line.replace(f":{name}", f":{port}")
        variables = {word.partition("=")[0]: word.partition("=")[2] for word in shlex.split(line) if word[:4] == "AWS_"}
        arguments = [word for word in shlex.split(line) if word[:4] != "AWS_"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "COLUMNS"))}
        done = subprocess.run(
            [sys.executable, "-m", "converter", *arguments],
            cwd=self.folder,
            env=kept
            | {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
            | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        says = done.stderr.replace(str(self.folder), "FOLDER")
        if done.stdout:  # of a command that prints findings
            says += "".join(line for line in done.stdout.splitlines(True) if line.startswith("error"))
        for pattern, stands in _VOLATILE:
            says = re.sub(pattern, stands, says)
        code = re.search(r"\[(E-[A-Z0-9-]+)\]", says)
        return Mistake(mistake.what, mistake.run, mistake.names, done.returncode, code[1] if code else "", says)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Return a place with the files that mistakes are made with."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        _write_files(folder)
        servers = folder.parent / f"{folder.name}-servers"
        for name in ("", "ftp", "sftp"):
            (servers / name).mkdir()
            stack.callback((servers / name).rmdir)
        ftp = stack.enter_context(ftp_server(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        sftp = SftpServer(servers / "sftp").start()
        stack.callback(sftp.stop)
        yield Place(folder, {"FTP_PORT": ftp.port, "SFTP_PORT": sftp.port})


def _write_files(folder: Path) -> None:
    header, _, rows = CSV.partition("\n")
    texts = {
        "crm.csv": CSV,
        "job.toml": JOB_FILE,
        "crm.data": CSV,
        "named.parquet": CSV,
        "answer.json": json.dumps({"count": len(ROWS), "results": ROWS}),
        "page.csv": "<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n",
        "empty.csv": "",
        "header_only.csv": header + "\n",
        "no_header.csv": rows.replace("ann", "4165550", 1),
        "semicolons.csv": CSV.replace(",", ";"),
        "twice.csv": CSV.replace("Country", "city"),
        "old_mac.csv": CSV.replace("\n", "\r"),
        "short_rows.csv": header + "\ncustomer-1\ncustomer-2\n",
        "mixed.csv": "crm_id,city\ncustomer-1,Bern\n6d92078a-8246-4ba4-ae5b-76104861e7dc,Basel\n",
        "broken.toml": JOB_FILE.replace('"crm.csv"', "crm.csv"),
        "typo.toml": JOB_FILE.replace("column", "colum"),
        "section.toml": JOB_FILE.replace("[output]", "[output]\nthreads = 2"),
        "no_section.toml": 'path = "crm.csv"\n' + JOB_FILE.partition("[id]")[2],
        "size.toml": JOB_FILE + 'max_part_bytes = "250"\n',
        "signals.toml": JOB_FILE.replace('["city"]', '["city", "Country", "city"]'),
        "variable.toml": JOB_FILE.replace('"out"', '"${AAM_FOLDER_THAT_IS_NOT_SET}"'),
        "trait.toml": JOB_FILE.replace('signals = ["city"]', 'traits = [{ value = "gold" }]'),
        "id_list.txt": "customer-1001\ncustomer-1002\n",
        "out_is_a_file": "",
        "ftp_dpm_1234_1366545717.sync.1.gz": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "umlaut.csv").write_bytes(CSV.replace("city", "größe", 1).encode("cp1252"))
    (folder / "utf16.csv").write_bytes(CSV.encode("utf-16-le"))
    (folder / "crm.rar").write_bytes(b"Rar!\x1a\x07\x01\0" + bytes(99))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(CSV.encode() * 99)[:-20])
    (folder / "crm.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    for name, inside in (("workbook.csv", "xl/workbook.xml"), ("crm.zip", "crm.csv")):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(inside, CSV)
            archive.writestr("notes.txt", "")
    pl.DataFrame(ROWS).write_parquet(folder / "parquet.csv")
    pl.DataFrame({"crm_id": [1.0, 2.0], "city": ["Bern", "Basel"]}).write_parquet(folder / "floats.parquet")
    (folder / "exports").mkdir()
    (folder / "exports" / "crm.xls").write_bytes((folder / "crm.xls").read_bytes())
    (folder / ".aws").mkdir()
    (folder / ".aws" / "config").write_text("[profile aam]\nregion = us-east-1\n")


def table() -> list[Mistake]:
    """Return the mistakes of the file."""
    return [Mistake(**{**each, "names": tuple(each["names"])}) for each in tomllib.loads(FILE.read_text())["mistake"]]


def _text(mistake: Mistake) -> str:
    """Return a mistake as it stands in the file."""
    says = mistake.says.rstrip("\n")
    assert "'''" not in says
    return (
        f"\n[[mistake]]\nwhat = {json.dumps(mistake.what)}\nrun = {_quoted(mistake.run)}\n"
        f"names = {json.dumps(mistake.names, ensure_ascii=False)}\nexit = {mistake.exit}\ncode = {json.dumps(mistake.code)}\n"
        f"says = '''\n{says}\n'''\n"
    )


def _quoted(text: str) -> str:
    return f"'''{text}'''" if "'" in text else f"'{text}'"


def main() -> None:
    """Write the file anew."""
    with place() as made:
        mistakes = [made.make(mistake) for mistake in table()]
    head = FILE.read_text().partition("\n[[mistake]]")[0]
    FILE.write_text(head + "".join(map(_text, mistakes)))


if __name__ == "__main__":
    main()
