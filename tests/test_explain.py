"""`explain` says of every code and rule what the documentation says, and leads to a place that is there."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from converter.codes import CODES
from converter.commands.explain import explain, names_of_all
from converter.errors import JobError

from .errors import check_told, raises
from .test_cli import ENVIRONMENT, command

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", names_of_all())
def test_everything_is_explained_and_its_anchor_exists(name: str) -> None:
    found = explain([name])
    assert found
    for each in found:
        path, _, anchor = each.page.partition("#")
        assert f'id="{anchor}"' in (ROOT / path).read_text()
        assert each.meaning.endswith((".", "…"))
        assert name in (each.name, each.code)
        assert each.remedy or each.effect or name.startswith("W-")


def test_texts_are_plain_and_name_pages_that_exist() -> None:
    texts = [f"{each.meaning} {each.remedy}" for each in explain(CODES)]
    assert [text for text in texts if "](" in text or "`" in text] == []
    named = {path for text in texts for path in re.findall(r"docs/[a-z-]+\.md", text)}
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_code_of_rules_is_that_of_several() -> None:
    assert {each.name for each in explain(["c7"])} == {"user_over_limit", "signal_cut", "users_uncounted"}
    assert len({each.page for each in explain(["id_missing"])}) == 2, "a rule on rows, and one on files"


def test_what_is_asked_for_twice_is_said_once() -> None:
    assert len(explain(["E-S3-BUSY", "e-s3-busy", "[E-S3-BUSY]:"])) == 1


@pytest.mark.parametrize("name", ["E-S3-BUSI", "id_mising", "X9", "", "a@example.com"])
def test_what_is_no_code_is_an_error_that_names_the_nearest(name: str) -> None:
    with raises(JobError, "E-EXPLAIN-UNKNOWN") as raised:
        explain([name])
    nearest = {"E-S3-BUSI": "'E-S3-BUSY'?", "id_mising": "'id_missing'?"}
    assert nearest.get(name, "") in raised.value.message
    assert "example.com" not in raised.value.message


def test_the_command_prints_text_or_json(tmp_path: Path) -> None:
    code, out, error = command(tmp_path, "explain", "E-S3-BUSY", "C7")
    assert (code, error) == (0, "")
    first, *others = out.split("\n\n")
    assert first.startswith("E-S3-BUSY: ")
    assert first.endswith("docs/errors.md#E-S3-BUSY")
    assert {each.partition(":")[0] for each in others} == {
        "user_over_limit (C7)",
        "signal_cut (C7)",
        "users_uncounted (C7)",
    }
    given = json.loads(command(tmp_path, "explain", "E-S3-BUSY", "--json")[1])
    assert [each["name"] for each in given["explanations"]] == ["E-S3-BUSY"]
    code, _, error = command(tmp_path, "explain", "E-NONE")
    assert code == 2
    check_told(error, "E-EXPLAIN-UNKNOWN")


def test_errors_load_no_rules(tmp_path: Path) -> None:
    code = "import sys\nfrom converter.commands.explain import explain\nexplain(['E-S3-BUSY'])\nassert 'polars' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def _on_terminal(folder: Path, *args: str) -> str:
    main, side = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "converter", *args],
        cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=side, check=False,
    )  # fmt: skip
    os.close(side)
    assert done.returncode
    printed = os.read(main, 1 << 16).decode()
    os.close(main)
    return printed


def test_on_a_terminal_an_error_names_the_command(tmp_path: Path) -> None:
    *_, last = _on_terminal(tmp_path, "convert", "missing.toml").splitlines()
    assert last.endswith("aam-inbound explain E-JOB-MISSING")
    assert "explain" not in _on_terminal(tmp_path, "convert", "--unknown")
