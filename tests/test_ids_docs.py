"""What `docs/ids.md` says of IDs is what the code does with them: each table is compared, each example executed."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer.main

from converter import Job, convert
from converter.cli.app import app_for
from converter.columns.normalize import normalize_id, steps_of
from converter.jobs.sections.ids import Id
from converter.spec.ids import GLOBAL_DATA_SOURCES, ID_TYPES, RECOGNIZED
from converter.spec.rules import id_rules

from .conftest import TIMESTAMP
from .test_cli import command

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ids.md").read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next one of any level."""
    (text,) = re.findall(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def rows(title: str) -> list[list[str]]:
    """The cells of the tables below a heading, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return cells[2:]


def code(cell: str) -> str:
    match = re.fullmatch("`([^`]*)`", cell)
    assert match, cell
    return match[1]


def tomls(title: str) -> list[dict[str, Any]]:
    return [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", section(title), re.DOTALL)]


def normalize_one(id_: Id, text: str) -> str | None:
    result = pl.DataFrame({"id": [text]}).select(normalize_id(id_, pl.col("id"))).item()
    assert result is None or isinstance(result, str)
    return result


# --- types ------------------------------------------------------------------------------------------------------


def test_the_table_of_types_has_each_with_its_form_case_and_data_source() -> None:
    table = {code(row[1]): row for row in rows("Types")}
    assert list(table) == list(ID_TYPES)
    for name, type_ in ID_TYPES.items():
        _, _, form, case, dpid = table[name]
        assert case == ("" if type_.groups == (38,) else type_.case or "as asked"), name
        assert dpid.startswith("your own" if type_.dpid is None else f"{type_.dpid}"), name
        if type_.dpid is not None:
            assert int(dpid.partition(" ")[0]) == type_.dpid
        groups = "-".join(map(str, type_.groups))
        assert form.startswith(groups or ("letters and digits" if type_.characters else "any text")), name


def test_what_is_said_below_the_table_of_types_holds() -> None:
    text = " ".join(section("Types").split())
    assert "`output.target` must name the one that your traits belong to (N4)" in text
    assert len(GLOBAL_DATA_SOURCES) == sum(type_.device for type_ in ID_TYPES.values())
    for name in (name for name, type_ in ID_TYPES.items() if type_.device):
        assert "id_all_zero" in [rule.name for rule in id_rules(ID_TYPES[name])], "(I2)"
        with pytest.raises(ValueError, match=rf"id\.hash.*{name}"):
            Id(column="x", type=name, hash="sha256")  # type: ignore[arg-type]


# --- steps ------------------------------------------------------------------------------------------------------


def test_the_table_of_steps_has_each_setting_in_its_order() -> None:
    names = [next(iter(tomllib.loads(code(row[1])))) for row in rows("Steps")]
    assert names == [name for name in Id.model_fields if name not in ("column", "type", "implausible")]
    on = Id(column="id", **{key: value for row in rows("Steps") for key, value in tomllib.loads(code(row[1])).items()})
    assert [step.name for step in steps_of(on)] == names
    assert [step.name for step in steps_of(Id(column="id"))] == ["trim"], "the only step that is on by itself"


@pytest.mark.parametrize("row", rows("Steps"), ids=lambda row: row[1])
def test_each_step_does_what_its_example_shows(row: list[str]) -> None:
    _, setting, before, after = row
    given, result = json.loads(code(before)), json.loads(code(after))
    id_ = Id(**{"column": "id", "trim": False, **tomllib.loads(code(setting))})
    assert given != result
    assert normalize_one(id_, given) == result


def test_addresses_are_hashed_as_the_table_shows() -> None:
    (job,) = tomls("E-mail addresses")
    table = rows("E-mail addresses")
    assert any(code(row[0]) == '"johndoe@example.com"' for row in table)
    for before, after in table:
        assert normalize_one(Id(**job["id"]), json.loads(code(before))) == json.loads(code(after))


def test_the_types_that_are_told_apart_are_named() -> None:
    told = section("Mixed columns").partition("form: ")[2].partition(" for all else")[0]
    assert tuple(re.findall("`([a-z_]+)`", told)) == RECOGNIZED


def test_the_block_that_is_recommended_is_asked_for_with_a_command_that_is_there() -> None:
    commands = set(typer.main.get_command(app_for()).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"^\$ aam-inbound ([a-z-]+)", PAGE, re.MULTILINE))
    assert named == {"match", "sync-urls"}
    assert named <= commands


# --- example jobs -----------------------------------------------------------------------------------------------

UUID, DEVICE = "68079982765673198504052656074456196039", "0F8FAD5B-D9CB-469F-A165-70867728950E"
HASH = "55e79200c1635b37ad31a378c39feb12f120f116625093a19bc32fff15041149"
INPUTS = {
    "logins.csv": f"crm_id,aam_uuid\nuser-1,{UUID}\n",
    "customers.csv": "crm_id,email\nuser-1,JohnDoe@example.com\n",
    "devices.csv": f"device_id,trait_ids\n{DEVICE.lower()},1|2\n",
    "mixed.csv": f"id,gender\nuser-1,f\n{DEVICE},m\n{DEVICE.lower()},m\n",
}
LINES = {
    "logins.csv": [f"{UUID}\tuser-1\n"],
    "customers.csv": [f"user-1\t{HASH}\n"],
    "devices.csv": [f"idfa\t{DEVICE}\t1,2\n"],
    "mixed.csv": ['user-1\t"gender"="f"\n', f'{DEVICE.lower()}\t"gender"="m"\n', f'{DEVICE}\t"gender"="m"\n'],
}


@pytest.mark.parametrize(
    "job", [*tomls("Synchronization"), *tomls("Mixed columns")], ids=lambda job: job["input"]["path"]
)
def test_each_example_job_makes_what_the_page_says(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = job["input"]["path"]
    (tmp_path / table).write_text(INPUTS[table])
    job["output"]["timestamp"] = TIMESTAMP
    report = convert(Job(**job))
    parts = {part.name: gzip.decompress((tmp_path / "out" / part.name).read_bytes()).decode() for part in report.parts}
    assert sorted(parts.values()) == sorted(LINES[table])
    if "route" not in job["output"]:
        (name,) = parts
        assert f"makes `{name.replace(str(TIMESTAMP), 'TIMESTAMP')}`" in PAGE


def test_each_kind_of_file_has_an_example() -> None:
    kinds = {job["output"].get("kind", "data") for job in [*tomls("Synchronization"), *tomls("Mixed columns")]}
    assert kinds == {"id-sync", "c2c-id-sync", "odc", "data"}


# --- sync-urls --------------------------------------------------------------------------------------------------


def test_every_flag_of_sync_urls_is_in_its_table_and_no_other() -> None:
    commands = typer.main.get_command(app_for()).commands  # type: ignore[attr-defined]
    flags = {option for parameter in commands["sync-urls"].params for option in parameter.opts if option[0] == "-"}
    named = {flag for row in rows("Addresses") for flag in re.findall(r"`(--?[a-z-]+)", row[0])}
    assert named == flags - {"--help"}


def test_the_example_of_sync_urls_writes_what_the_page_shows(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_text("crm_id\n user 42\n")
    (shown,) = re.findall(r"```\n(id,url\n.*?)```", section("Addresses"), re.DOTALL)
    (example, *_) = re.findall(r"^\$ aam-inbound (.*) > urls.csv$", section("Addresses"), re.MULTILINE)
    assert command(tmp_path, *example.split())[:2] == (0, shown)


def test_the_page_is_linked_and_its_links_lead_somewhere() -> None:
    assert "(docs/ids.md)" in (ROOT / "README.md").read_text()
    headings = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall("^#+ (.*)$", PAGE, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / path).exists()
        assert path or anchor in headings, target
