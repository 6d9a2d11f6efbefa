"""The contender `sort`: GNU sort with a bounded buffer, of which mawk joins what belongs to one user."""

from __future__ import annotations

import os
import subprocess

from benchmarks.contenders import Task

_SELECT = 'BEGIN { FS = "," } FNR == 1 || index($1, ":") || index($1, "@") { next } { print $1 "\t" $2 }'
_JOIN = r"""
    BEGIN { FS = "\t" }
    $1 == user { printf ",d_sid=%s", $2; next }
    { if (NR > 1) print ""; user = $1; printf "%s\td_sid=%s", $1, $2 }
    END { if (NR) print "" }
"""
_BUFFER = "512M"


def convert(task: Task) -> None:
    """Run the pipeline; bash waits for all of it, so that its CPU time is counted."""
    sort = f"sort -u -S {_BUFFER} --parallel={task.threads} -T ."
    pigz = f"pigz -{task.level} -p {task.threads}"
    script = f'set -o pipefail; mawk "$1" "$3" | {sort} | mawk "$2" | {pigz} > "$4"'
    arguments = ["bash", "-c", script, "bash", _SELECT, _JOIN, str(task.path), str(task.target)]
    # In the C locale, bytes are characters; the result is the same, and faster.
    subprocess.run(arguments, cwd=task.folder, env=os.environ | {"LC_ALL": "C"}, check=True)
