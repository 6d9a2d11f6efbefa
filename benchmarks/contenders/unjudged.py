"""The contender `ours-no-rules`: ours with an empty list of rules, to see what judging rows costs.

Its loops are compiled with the judging left out, and text is not proven to be UTF-8. So every row becomes a line, and
its lines are not those of the others.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders import Task, ours
from benchmarks.workloads import DATA, ROOT


def convert(task: Task) -> None:
    """Convert, and judge nothing. The loops are compiled the first time: that run is not to be measured."""
    from unittest.mock import patch

    from converter import kernel

    code = _compiled(Path(kernel.__file__).parent)
    with (
        patch.object(kernel, "_stored", lambda _: code),
        patch.object(kernel, "WORTH_BYTES", 0),
        patch("converter.kernel.calls.Loops.is_utf8", lambda *_: True),
    ):
        ours.convert(task)


def _compiled(source: Path) -> bytes:
    """Return the loops that judge nothing."""
    digest = hashlib.sha256(b"".join(sorted(file.read_bytes() for file in source.glob("*.py")))).hexdigest()
    path = DATA / f"unjudged-{digest[:32]}.bin"
    if not path.exists():
        done = subprocess.run([sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        path.write_bytes(done.stdout)
    return path.read_bytes()


def main() -> None:
    """Compile, in a process of its own, and write the object file to standard output."""
    from converter.kernel import build, loops

    loops.JUDGING = False
    sys.stdout.buffer.write(build.build())


if __name__ == "__main__":
    main()
