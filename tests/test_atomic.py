"""What is on the disk before what follows from it happens: contents before names, and folders after them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from converter.delivery.run_files import FolderFiles
from converter.report.rejects import RejectsFile
from converter.spec.rules import ID_MISSING

from .conftest import Run

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is synchronized, named and made, in order: the call, and the name that it is about."""
    made: Calls = []
    fsync, replace, link, mkdir = os.fsync, os.replace, os.link, os.mkdir

    def named(descriptor: int) -> str:
        return os.path.realpath(f"/proc/self/fd/{descriptor}")

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        made.append((f"sync {kind}", named(descriptor)))

    def replaced(old: str | Path, new: str | Path) -> None:
        replace(old, new)
        made.append(("name", str(new)))

    def linked(old: str | Path, new: str | Path) -> None:
        link(old, new)
        made.append(("name", str(new)))

    def made_folder(path: str | Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        made.append(("make", str(path)))

    for name, call in (("fsync", synced), ("replace", replaced), ("link", linked), ("mkdir", made_folder)):
        monkeypatch.setattr(os, name, call)
    return made


def test_a_run_brings_everything_to_the_disk_in_the_right_order(run: Run, calls: Calls) -> None:
    report = run.convert("id,a\n1,x\n:,y\n", report={"dir": str(run.folder / "a" / "reports")})
    folder = run.folder / "a" / "reports"
    for path in (report.report_path, report.rejects_path, *folder.glob("*.journal")):
        named = calls.index(("name", str(path)))
        whole = [name for what, name in calls[:named] if what == "sync file" and name.startswith(str(path))]
        assert whole, f"the content of {path} goes to the disk before it has its name"
        assert calls[named + 1] == ("sync folder", str(folder))
    (part,) = report.parts
    named = calls.index(("name", part.url))
    assert any(what == "sync file" and part.name in name for what, name in calls[:named])
    assert ("sync folder", str(run.out)) in calls[named:]
    for made in (run.folder / "a", folder, run.out):
        assert ("sync folder", str(made.parent)) in calls[calls.index(("make", str(made))) :], made


def test_the_names_follow_the_parts(run: Run, calls: Calls) -> None:
    report = run.convert("id,a\n1,x\n")
    named = [name for what, name in calls if what == "name"]
    journal = named[0]
    # The report once more: only now it is known when the run ended.
    page = report.report_path.removesuffix(".json") + ".html"
    assert named[:3] == [journal, report.parts[0].url, report.rejects_path]
    assert named[3:] == [page, report.report_path, journal, page, report.report_path]


def test_rejects_of_a_run_that_died_are_replaced_and_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "x.rejects.ndjson.gz"
    (tmp_path / "x.rejects.ndjson.gz.partial").write_bytes(b"x" * 100_000)
    rejects = RejectsFile(FolderFiles(tmp_path), path.name, (ID_MISSING,), (), show_rows=True, most=1)
    rejects.begin()
    rejects.prepare()
    rejects.publish()
    assert path.stat().st_size < 100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_jobs_of_one_second_have_reports_of_their_own(run: Run) -> None:
    run.write("id,a,b\n1,x,y\n")
    one = run.convert()
    other = run.convert(output={"to": str(run.folder / "elsewhere")})
    third = run.convert(output={"to": str(run.folder / "third")}, record={"signals": ["b"]})
    assert one.name == other.name == third.name
    assert len({each.report_path for each in (one, other, third)}) == 3
    assert len({each.rejects_path for each in (one, other, third)}) == 3
    for each in (one, other, third):
        assert Path(each.report_path).read_bytes() == each.to_json()
        assert Path(each.rejects_path).exists()
