"""What the documentation says of keys, options, rules, codes and exit codes is what the code knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from converter import Job
from converter._version import __version__
from converter.codes import CODES
from converter.commands.explain import remedies
from converter.errors import ConverterError, JobError, TooManyRejectsError
from converter.jobs.messages import all_keys
from converter.spec.ids import ID_TYPES

from . import documented

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
JOB_FILE = (ROOT / "docs" / "job-file.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def test_tables_are_those_of_the_code_and_name_everything_once() -> None:
    assert documented.main([]) == 0


def test_what_no_table_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs" / "job-file.md"
    monkeypatch.setattr(documented, "PAGES", [each for each in documented.PAGES if each != page])
    assert "keys input" in documented.undocumented()
    monkeypatch.setattr(documented, "PAGES", [*documented.PAGES, page])
    assert documented.undocumented() == []


def test_every_row_of_a_table_has_a_meaning() -> None:
    made = [documented.TABLES[kind](names.split()) for kind, names in (
        ("keys", "input id sync record output privacy report run pgp s3 ftp sftp"),
        ("options", "convert send match doctor sync-urls schema"),
        ("rules", "rejected skipped counted files"),
        ("codes", "errors"),
        ("codes", "warnings"),
    )]  # fmt: skip
    assert not [row for table in made for row in table.splitlines() if "None" in row or row.endswith("| |")]


def test_what_to_do_is_said_of_every_error_and_of_nothing_else() -> None:
    assert set(remedies()) == {code for code in CODES if code.startswith("E-")}


def test_keys_that_are_to_be_changed_exist() -> None:
    keys = set(all_keys(Job))
    named = set(re.findall(r"`([a-z0-9]+\.[a-z_0-9]+)\b", "\n".join(remedies().values())))
    assert named - keys == set()


def test_every_id_type_is_named() -> None:
    (row,) = [line for line in JOB_FILE.splitlines() if line.startswith("| `id.type` |")]
    assert set(re.findall("`([a-z_]+)`", row.split("|")[3])) == {*ID_TYPES, "auto"}


def test_the_changelog_has_a_section_for_each_release_and_what_is_not_released() -> None:
    """The newest release is older than the version of the package, or is that version."""
    text = (ROOT / "CHANGELOG.md").read_text()
    first, *released = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert [heading for heading in released if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)] == []
    versions = [tuple(map(int, heading[1:].partition("]")[0].split("."))) for heading in released]
    assert versions == sorted(set(versions), reverse=True)
    assert all(version <= tuple(map(int, __version__.split(".")[:3])) for version in versions)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not re.search(r"^#+ [^\n]*\n\s*(?:#|\Z)", text.partition("[Unreleased]")[2], re.MULTILINE), (
        "a section is empty"
    )


@pytest.mark.parametrize("error, code", [(ConverterError, 1), (JobError, 2), (TooManyRejectsError, 3)])
def test_exit_codes_are_those_of_the_errors(error: type[ConverterError], code: int) -> None:
    assert error.exit_code == code
    assert re.search(rf"^\| {code} \|", COMMANDS, re.MULTILINE)


@pytest.mark.parametrize("page", [README, JOB_FILE], ids=["README", "job-file"])
def test_the_job_file_that_is_shown_is_a_job(page: str) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert Job(**tomllib.loads(text)).columns == ("crm_id", "gender", "city", "trait_ids")
