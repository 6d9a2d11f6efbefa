"""A run that a process of its own keeps, as the other processes of the driver see it.

Spark makes a writer in one process, and lets another one commit or abort; neither is there in between. The names of the
run, its journal and its locks have to be held all the time, so a third process holds them (`keeper`): the first one
starts it, and the second one calls it, through a socket that only this user can open.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Client
from typing import NamedTuple

from converter.errors import ConverterError
from converter.spark.messages import RunFailedError, packed, unpacked

_KEEPER = ["-m", "converter.spark.keeper"]  # arguments of Python


class Request(NamedTuple):
    """What a keeper is to run: the options and the schema (of Arrow, serialized) of a write.

    The keeper stops when the process `parent` has ended.
    """

    options: Mapping[str, str]
    schema: bytes
    parent: int


class Begun(NamedTuple):
    """A run has begun. Without an assignment, tasks have nothing to do: an earlier run is finished now."""

    address: str
    assignment: bytes | None


class Failed(NamedTuple):
    """A run failed, with the text of a `RunFailedError`."""

    text: str


@dataclass(frozen=True)
class KeptRun:
    """A run, as its writer knows it; it is sent to tasks too."""

    begun: Begun

    @classmethod
    def begin(cls, request: Request) -> KeptRun:
        """Start a keeper, and return its run once tasks may start. Raises `RunFailedError`."""
        # What this process can import, its keeper can import too, wherever Spark has got it from.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        keeper = subprocess.Popen(  # noqa: S603 - the Python that runs this
            [sys.executable, *_KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        if keeper.stdin is None or keeper.stdout is None:
            raise AssertionError("both are pipes")
        with contextlib.suppress(BrokenPipeError), keeper.stdin as pipe:
            pipe.write(packed(request))
        with keeper.stdout as pipe:
            answer = pipe.read()
        threading.Thread(target=keeper.wait, daemon=True).start()  # it continues; at its end nothing is left of it
        return cls(_checked(unpacked(answer) if answer else None))

    def commit(self, results: Sequence[bytes]) -> None:
        """Let the run take the results of tasks, and publish. Raises `RunFailedError`."""
        if self.begun.assignment is not None:
            _checked(self._call(list(results)))

    def abort(self) -> None:
        """Let the run end, and remove what tasks have sent; where it has ended already, nothing is to be done."""
        self._call(None)

    def _call(self, results: list[bytes] | None) -> Begun | Failed | None:
        try:
            with Client(self.begun.address, "AF_UNIX") as connection:
                connection.send_bytes(packed(results))
                answer: Begun | Failed = unpacked(connection.recv_bytes())
        except (OSError, EOFError):
            return None
        return answer


def _checked(answer: Begun | Failed | None) -> Begun:
    """Return an answer of a keeper. Raises `RunFailedError` where its run failed, or there is no answer."""
    if isinstance(answer, Failed):
        raise RunFailedError(answer.text)
    if answer is None:
        raise RunFailedError.of(
            ConverterError(
                "E-SPARK-FAILED",
                "The process of the driver that keeps the run has ended.",
                "Where it was publishing, the same write with the option resume = true finishes the run.",
            )
        )
    return answer
