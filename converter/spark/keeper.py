"""The process of the driver that keeps a run of the data source, from before its tasks start until it has published.

1. It gets a request on its standard input, and begins the run as `converter.spark.convert` does.
2. It answers on its standard output, once, what tasks are to do, or why there is no run.
3. It waits for a call, with the results of all tasks, or to abort; that is answered when the run has ended.

It stops where the driver has ended before it calls. A run that publishes by then is finished.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from functools import partial
from multiprocessing.connection import Connection, Listener
from pathlib import Path

import pyarrow as pa

from converter.commands.convert import convert
from converter.commands.plan import Plan
from converter.delivery import stops
from converter.delivery.threads import run_in_thread
from converter.errors import ConverterError, StoppedError
from converter.spark.conversion import SparkConversion, assignment_of
from converter.spark.frames import DataFrame
from converter.spark.kept import Begun, Failed, Request
from converter.spark.messages import MOST_PARTITIONS, Staged, packed, unpacked
from converter.spark.options import asked_by
from converter.spark.support import check_job
from converter.spark.tasks import described

_TICK = 0.5  # seconds
_LONGEST = 60  # characters of a folder in which a socket can be: its name has 107 at most
_SHORT = "/tmp"  # noqa: S108 - a folder of this process alone is made there


class _Keeper:
    """The run of a request. `answer` takes what it answers, packed: first to who started it, then to who calls it."""

    def __init__(self, request: Request, address: str, answer: Callable[[bytes], None]) -> None:
        self._request = request
        self._address = address
        self._answer = answer

    def run(self) -> None:
        """Run, and answer how that ended."""
        try:
            self._convert()
            answer: Begun | Failed = Begun(self._address, None)
        except BaseException as error:  # a signal is one too
            answer = Failed(str(described(error)))
            logging.getLogger("converter").error("%s", answer.text.partition("\n")[0])
        with contextlib.suppress(OSError):  # nobody waits for it any more
            self._answer(packed(answer))

    def _convert(self) -> None:
        asked = asked_by(self._request.options)
        check_job(asked.job)
        no_rows = pa.ipc.read_schema(pa.py_buffer(self._request.schema)).empty_table()
        convert(
            asked.job,
            input=DataFrame(no_rows),
            resume=asked.resume,
            strict=asked.strict,
            accept_volume=asked.accept_volume,
            engine=partial(SparkConversion, self._staged),
        )

    def _staged(self, plan: Plan, on_wait: Callable[[], None]) -> tuple[Sequence[Staged], None]:
        """Let tasks start, and return what they have made once the driver calls."""
        with Listener(self._address, "AF_UNIX") as listener:
            self._answer(packed(Begun(self._address, packed(assignment_of(plan, MOST_PARTITIONS)))))
            task = run_in_thread(partial(_call, listener))
            while wait([task], _TICK).not_done:
                on_wait()
                if not _lives(self._request.parent):
                    raise StoppedError(signal.SIGHUP)
            connection, results = task.result()
        self._answer = connection.send_bytes
        if results is None:
            raise ConverterError(
                "E-SPARK-FAILED",
                "Spark has stopped the write, so nothing was published.",
                "Its log says why: see its tasks.",
            )
        return [unpacked(each) for each in results], None


def _call(listener: Listener) -> tuple[Connection, list[bytes] | None]:
    """Wait for a call, and return its connection and what it gives: the results of tasks, or None to abort."""
    while True:
        connection = listener.accept()
        try:
            return connection, unpacked(connection.recv_bytes())
        except (OSError, EOFError):  # who called was killed
            connection.close()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def main() -> None:
    """Keep the run of the request on the standard input."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stops.listen()
    request: Request = unpacked(sys.stdin.buffer.read())
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())

    def answer(text: bytes) -> None:
        with output:  # its end is the end of the answer
            output.write(text)

    place = _SHORT if len(tempfile.gettempdir()) > _LONGEST else None
    with tempfile.TemporaryDirectory(prefix="aam-spark-", dir=place) as folder:
        _Keeper(request, str(Path(folder, "run")), answer).run()


if __name__ == "__main__":
    main()
