"""The folder destination: parts are visible whole, together and once, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from converter.delivery.atomic import AtomicFile
from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.folder import FolderDestination
from converter.errors import DestinationError
from converter.spec.names import FileName

from .conftest import TIMESTAMP, Run
from .errors import raises
from .servers.place import OWNER

NAME = FileName("data", (1234,), 1366545717, extension=".gz")
CONTENT = "id,a\n" + "".join(f"{number},value {number * 7919}\n" for number in range(3000))
SMALL = {"max_part_raw_bytes": 20_000}


def begin(folder: Path, *texts: bytes) -> tuple[FolderDestination, list[Arrived]]:
    """Write finished parts that are not published."""
    destination = FolderDestination(str(folder), OWNER)
    assert errors(destination) == []
    arrived = []
    for number, text in enumerate(texts, 1):
        part = destination.create(str(NAME.part(number)))
        part.write(text)
        arrived.append(part.finish())
    return destination, arrived


def errors(destination: FolderDestination) -> list[str]:
    return [finding.code for finding in destination.check(NAME) if finding.level == "error"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_f10_a_name_that_is_there_is_an_error_before_converting(run: Run) -> None:
    run.out.mkdir()
    (run.out / f"ftp_dpm_1234_{TIMESTAMP}.sync.7").write_bytes(b"sent yesterday")
    with raises(DestinationError, "E-NAME-TAKEN", "'ftp_dpm_1234_1366545717.sync.7'", "--resume"):
        run.convert("id,a\n1,x\n")


@pytest.mark.parametrize(
    "name", ["ftp_dpm_1234_1366545717.overwrite.1.gz", "ftp_dpm_12_1366545717.sync.1.gz", "notes.txt"]
)
def test_other_names_are_no_obstacle(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert errors(FolderDestination(str(tmp_path), OWNER)) == []


def test_a_partial_part_of_the_same_name_stops_a_second_run(tmp_path: Path) -> None:
    begin(tmp_path, b"one")
    assert errors(FolderDestination(str(tmp_path), OWNER)) == ["E-NAME-IN-USE"]


def test_f10_a_name_that_appears_during_the_run_is_not_overwritten(tmp_path: Path) -> None:
    destination, (first, second, third) = begin(tmp_path, b"one", b"two", b"three")
    (tmp_path / second.name).write_bytes(b"someone else's")
    destination.publish(first)
    with raises(DestinationError, "E-NAME-TAKEN"):
        destination.publish(second)
    assert (tmp_path / second.name).read_bytes() == b"someone else's"
    (tmp_path / second.name).unlink()
    destination.publish(second)
    destination.publish(third)
    assert names(tmp_path) == [first.name, second.name, third.name]


def test_where_there_are_no_hard_links_parts_are_renamed_and_still_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    destination, (first, second) = begin(tmp_path, b"one", b"two")
    destination.publish(first)
    destination.publish(first)
    (tmp_path / second.name).write_bytes(b"other")
    with raises(DestinationError, "E-NAME-TAKEN"):
        destination.publish(second)
    assert names(tmp_path) == [first.name, second.name, OWNER.partial(second.name, ".partial")]


def test_f18_a_size_that_is_not_what_was_written_is_noticed(tmp_path: Path) -> None:
    destination = FolderDestination(str(tmp_path), OWNER)
    part = destination.create("x")
    part.write(b"0123456789" * 10_000)
    part._file.fileno()  # which flushes it
    with (tmp_path / OWNER.partial("x", ".partial")).open("r+b") as file:
        file.truncate(10)
    with raises(DestinationError, "E-PART-SIZE", "x'", " 10 ", "100,000"):
        part.finish()


def test_a_folder_that_cannot_be_written_is_an_error_before_converting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert errors(FolderDestination(str(tmp_path / "file" / "below"))) == ["E-FOLDER-WRITE"]


class Full:
    """A file that cannot be written any more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(patch: pytest.MonkeyPatch, call: str, at: int) -> None:
    """Let the `at`th call of a kind fail as it does on a full or broken disk."""
    count = 0

    def fails(original: Any, error: int) -> Any:
        def call_(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise OSError(error, os.strerror(error))
            return original(*arguments, **named)

        return call_

    if call == "fsync":
        patch.setattr(os, "fsync", fails(os.fsync, errno.EIO))
    elif call == "link":
        patch.setattr(os, "link", fails(os.link, errno.EIO))
    elif call == "open":
        patch.setattr(AtomicFile, "open", fails(AtomicFile.open, errno.EACCES))
    else:
        from converter.delivery.destinations.folder import _FolderUpload

        original = _FolderUpload.write
        seen = 0

        def write(self: _FolderUpload, data: bytes) -> None:
            nonlocal seen
            seen += 1
            whole = self._file
            if seen == at:
                whole.write(data[: len(data) // 2])
                self._file = Full(whole)  # type: ignore[assignment]
            try:
                original(self, data)
            finally:
                self._file = whole

        patch.setattr(_FolderUpload, "write", write)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
def test_f3_f22_f23_a_disk_that_fails_at_any_moment_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    failing(monkeypatch, call, at)
    with pytest.raises(DestinationError) as raised:
        run.convert(CONTENT, output=SMALL)
    assert raised.value.code in (
        "E-FOLDER-WRITE",
        "E-DISK-FULL",
        "E-JOURNAL-WRITE",
        "E-REPORT-WRITE",
        "E-REPORT-FOLDER",
    )
    monkeypatch.undo()
    publishing = b'"publishing"' in b"".join(path.read_bytes() for path in run.folder.glob("reports/*.journal"))
    if not publishing:
        assert run.files == []
        assert not [path for path in run.folder.glob("reports/*") if ".failed-" not in path.name]
    run.convert(output=SMALL, resume=publishing)
    assert not list(run.folder.glob("*/*.partial"))
    assert len(run.lines) == 3000


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_f22_a_full_disk_is_one_sentence_and_leaves_nothing(run: Run) -> None:
    small = run.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        with raises(DestinationError, "E-DISK-FULL"):
            run.convert(CONTENT, output={"to": str(small), "compression": "none"})
        assert list(small.iterdir()) == []
        (small / "filler").write_bytes(b"x" * 65_536)
        with pytest.raises(DestinationError) as raised:
            run.convert(CONTENT, report={"dir": str(small)})
        assert raised.value.code in ("E-REPORT-FOLDER", "E-REPORT-WRITE", "E-JOURNAL-WRITE")
        assert run.files == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
