"""The contender `awk`: a pipeline of mawk, the fastest awk, split and pigz. It reads CSV only.

It supports quoted fields that contain commas, and double quotes where the workload has them, but no newlines.
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
    program = _program(task.workload)
    if task.workload.suffix == "csv.gz":
        script = 'set -o pipefail; pigz -dc "$4" | mawk "$1" | split -C "$2" --filter="$3" - part.'
    else:
        script = 'set -o pipefail; mawk "$1" "${@:4}" | split -C "$2" --filter="$3" - part.'
    arguments = ["bash", "-c", script, "bash", program, _PART_BYTES, pigz, *map(str, task.files)]
    # In the C locale, bytes are characters; the result is the same, and faster.
    subprocess.run(arguments, cwd=task.folder, env=os.environ | {"LC_ALL": "C"}, check=True)


def _program(workload: Workload) -> str:
    place = {name: f"${number}" for number, name in enumerate(workload.columns, 1)}
    id_, traits = place[workload.id], place[workload.traits]
    pairs = "".join(
        f'if ({place[name]} != "") line = line ",\\"{name}\\"=\\"" {place[name]} "\\""\n' for name in workload.signals
    )
    return f"""
        BEGIN {{ FS = "," }}
        FNR == 1 {{ next }}
        {_unquote(quotes=bool(workload.quoted))}
        index({id_}, ":") || index({id_}, "@") {{ next }}
        {{
            line = ""
            {pairs}
            if ({traits} != "") {{ traits = {traits}; gsub(/[{TRAIT_SEPARATOR}]/, ",d_sid=", traits)
                                   line = line ",d_sid=" traits }}
            print {id_} "\\t" substr(line, 2)
        }}
    """


def _unquote(*, quotes: bool) -> str:
    """Return the rule that removes the quotes around fields.

    Of the pieces between quotes, every second one is in a quoted field: its commas are hidden while fields are split,
    and put back after. With `quotes`, an empty piece outside of fields is an escaped double quote, which becomes a
    single quote.
    """
    escaped = """else if (i > 1 && i < count && pieces[i] == "") row = row "'" """ if quotes else ""
    return rf"""
        index($0, "\"") {{
            count = split($0, pieces, "\""); row = ""
            for (i = 1; i <= count; i++) {{
                if (i % 2 == 0) gsub(/,/, "\001", pieces[i]); {escaped}
                row = row pieces[i]
            }}
            $0 = row
            for (i = 1; i <= NF; i++) if (index($i, "\001")) gsub(/\001/, ",", $i)
        }}
    """
