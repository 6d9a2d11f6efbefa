"""One of the two processes of a race: it waits for the start, and converts with the clock that it is given.

    python -m tests.racer JOB NOW START

`START` is a path: the process has loaded everything when `START.PID` is there, and goes when `START` is.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

from converter import Job, convert
from converter.errors import Reported

_SLOW_TO_LOAD = (
    "converter.delivery.destinations.s3",
    "converter.delivery.destinations.ftp",
    "converter.delivery.destinations.sftp",
    "tenacity",
)


def main(job: str, now: str, start: str) -> int:
    for name in _SLOW_TO_LOAD:
        importlib.import_module(name)
    loaded = Job.load(job)
    Path(f"{start}.{os.getpid()}").touch()
    while not os.path.exists(start):  # noqa: PTH110  # it is asked thousands of times
        time.sleep(0.0005)
    try:
        report = convert(loaded, now=float(now))
    except Reported as error:
        print(json.dumps({"code": error.code, "message": error.message, "hint": error.hint}))
        return error.exit_code
    print(json.dumps({"name": report.name, "parts": [part.name for part in report.parts]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
