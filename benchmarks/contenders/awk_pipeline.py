"""The contender `awk`: a pipeline of mawk, the fastest of the awks, split and pigz. It reads CSV only.

It supports quoted fields with commas in them, which the workloads have; not those with double quotes or newlines.
"""

from __future__ import annotations

import os
import subprocess

from benchmarks.contenders import Task
from benchmarks.workloads import TRAIT_SEPARATOR, Workload

_PART_BYTES = "1GB"  # the text of a part, as ours has it


def convert(task: Task) -> None:
    """Run the pipeline; bash waits for all of it, so that its CPU time is counted."""
    pigz = f"pigz -{task.level} -p {task.threads} > $FILE.gz"
    script = 'set -o pipefail; mawk "$1" "$2" | split -C "$3" --filter="$4" - part.'
    arguments = ["bash", "-c", script, "bash", _program(task.workload), str(task.path), _PART_BYTES, pigz]
    # In the C locale, bytes are characters; the result is the same, and sooner there.
    subprocess.run(arguments, cwd=task.folder, env=os.environ | {"LC_ALL": "C"}, check=True)


def _program(workload: Workload) -> str:
    place = {name: f"${number}" for number, name in enumerate(workload.columns, 1)}
    id_, traits = place[workload.id], place[workload.traits]
    pairs = "".join(
        f'if ({place[name]} != "") line = line ",\\"{name}\\"=\\"" {place[name]} "\\""\n' for name in workload.signals
    )
    return f"""
        BEGIN {{ FS = "," }}
        NR == 1 {{ next }}
        {_UNQUOTE}
        index({id_}, ":") || index({id_}, "@") {{ next }}
        {{
            line = ""
            {pairs}
            if ({traits} != "") {{ traits = {traits}; gsub(/[{TRAIT_SEPARATOR}]/, ",d_sid=", traits)
                                   line = line ",d_sid=" traits }}
            print {id_} "\\t" substr(line, 2)
        }}
    """


_UNQUOTE = r"""
        index($0, "\"") {
            # Of the pieces between quotes, every second one is a field: its commas are hidden while fields are
            # split, and put back after.
            count = split($0, pieces, "\""); row = ""
            for (i = 1; i <= count; i++) { if (i % 2 == 0) gsub(/,/, "\001", pieces[i]); row = row pieces[i] }
            $0 = row
            for (i = 1; i <= NF; i++) if (index($i, "\001")) gsub(/\001/, ",", $i)
        }
"""
