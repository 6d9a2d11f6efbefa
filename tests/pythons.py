"""Runs a part of the tests in other environments, each in a folder of its own below `.cache`.

    python -m tests.pythons lowest         the lowest versions of what the package needs, with this Python
    python -m tests.pythons 3.12 3.13 …    other versions of Python, with the newest versions of what it needs

`TESTS` names tests that use each of the requirements. Pythons are found in the path and among those of pyenv; one that is
not installed is named, and skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
LOWEST = "lowest"
TESTS = {
    "adbc-driver-manager": "test_databases.py::test_tables_are_converted",
    "adbc-driver-postgresql": "test_databases.py::test_tables_are_converted",
    "adbc-driver-sqlite": "test_databases.py::test_types_may_change_within_a_column_of_sqlite",
    "backports.zstd": "test_packings.py::test_what_is_packed_and_damaged_is_an_error",
    "botocore": "test_s3.py::test_several_pieces_of_a_part_are_on_their_way_at_once",
    "chardet": "test_encodings.py::test_auto_finds_the_encoding_of_each_file_and_says_how_certain_it_is",
    "deltalake": "test_delta_tables.py::test_the_current_rows_come_out",
    "duckdb": "test_databases.py::test_tables_are_converted",
    "isal": "test_packings.py::test_what_is_packed_and_damaged_is_an_error",
    "lark": "test_trait_rules.py::test_rules_are_parsed",
    "lz4": "test_packings.py::test_what_is_packed_and_damaged_is_an_error",
    "markupsafe": "test_page.py::test_the_page_has_the_numbers_of_the_report",
    "numpy": "test_toys.py",
    "obstore": "test_clouds.py::test_prefixes_and_globs_are_like_folders",
    "openpyxl": "test_excel.py::test_a_sheet_is_read_with_the_formats_of_its_cells",
    "orjson": "test_toys.py",
    "paramiko": "test_sftp.py::test_parts_one_after_the_other_use_one_connection",
    "phonenumbers": "test_privacy.py::test_a_number_is_valid_where_phonenumbers_says_so",
    "polars": "test_frames.py::test_rejects_are_a_frame",
    "polars-hash": "test_normalize.py::test_an_address_is_hashed_as_adobes_example_is",
    "psycopg": "test_databases.py::test_rows_that_come_as_text_are_those_of_columns",
    "pyarrow": "test_frames.py::test_rejects_are_a_frame",
    "pydantic": "test_toys.py",
    "rich": "test_cli.py::test_tables_have_no_spaces_at_the_ends_of_lines",
    "smart-open": "test_s3.py::test_a_clock_that_is_wrong_is_a_warning",
    "tenacity": "test_sftp.py::test_parts_one_after_the_other_use_one_connection",
    "typer": "test_toys.py",
    "urllib3": "test_s3.py::test_several_pieces_of_a_part_are_on_their_way_at_once",
    "zlib-ng": "test_packings.py::test_what_is_packed_and_damaged_is_an_error",
}
"""For each requirement, tests that use it: few, since what all tests show is shown by the newest versions."""
EXTRAS = ("clouds", "delta", "duckdb", "postgres", "sqlite")
"""All but Spark, which is large, needs Java, and has tests of its own."""
_VERSION_OF = "import sys; print('%d.%d' % sys.version_info[:2])"
_UV = [sys.executable, "-m", "uv"]


def find(version: str) -> str | None:
    """Return the path of a Python of a version such as 3.13; `None` where there is none."""
    for path in _candidates(version):
        # What pyenv has put into the path may start no Python: which ones do is a setting.
        done = subprocess.run([path, "-c", _VERSION_OF], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return path
    return None


def _candidates(version: str) -> Iterator[str]:
    if path := shutil.which(f"python{version}"):
        yield path
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted(root.glob(f"versions/{version}.*"), reverse=True):
        yield str(folder / "bin" / "python")


def run(python: str, name: str, *requirements: str) -> int:
    """Run the tests in a new environment of a Python with these requirements and those of the tests; the exit code."""
    folder = CACHE / name
    own = str(folder / "bin" / "python")
    _uv("venv", "--clear", "--python", python, str(folder))
    _uv("pip", "install", "--python", own, *requirements, "--group", "test")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    chosen = [f"tests/{name}" for name in sorted(set(TESTS.values()))]
    command = [own, "-m", "pytest", "-n", "auto", *chosen]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _extras() -> list[str]:
    return [argument for extra in EXTRAS for argument in ("--extra", extra)]


def _uv(*arguments: str) -> None:
    subprocess.run([*_UV, *arguments[:1], "--quiet", *arguments[1:]], cwd=ROOT, check=True)


def run_lowest() -> int:
    """Run the tests with the lowest version of each requirement, and the newest of what these need; the exit code."""
    CACHE.mkdir(exist_ok=True)
    versions = str(CACHE / f"{LOWEST}.txt")
    _uv("pip", "compile", "--resolution", "lowest-direct", *_extras(), "pyproject.toml", "--output-file", versions)
    return run(sys.executable, LOWEST, "--requirement", versions, "--constraint", versions)


def main() -> int:
    """Run; the exit code is that of the first environment whose tests fail."""
    codes = []
    for asked in sys.argv[1:]:
        python = sys.executable if asked == LOWEST else find(asked)
        if python is None:
            print(f"Python {asked} is not installed: skipped", flush=True)
            continue
        print(f"{asked}: {python}", flush=True)
        if asked == LOWEST:
            codes.append(run_lowest())
        else:
            codes.append(run(python, f"python-{asked}", "--requirement", "pyproject.toml", *_extras()))
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main())
