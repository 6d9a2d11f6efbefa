"""The pieces of uploads to S3 on their way, several at once, also of one upload."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TypeAlias

from converter.delivery.threads import run_in_thread
from converter.remote.s3_bucket import Bucket, MultipartUpload, Proof

_WAIT_SECONDS = 5.0

Receipt: TypeAlias = "tuple[str, Proof]"
"""The ETag of a piece that arrived, and what proves that it arrived unchanged."""


class Line:
    """The way to a bucket, over at most `connections` at once, for all uploads. Threads may share it.

    It lends memory of `piece_bytes` for each piece: for those that are sent, and for one more of each upload.
    """

    def __init__(self, bucket: Bucket, connections: int, piece_bytes: int) -> None:
        self.bucket, self.piece_bytes = bucket, piece_bytes
        self._free = threading.Semaphore(connections)
        self._memory: list[bytearray] = []
        self._lock = threading.Lock()

    def borrow(self) -> bytearray:
        """Return memory for a piece, to be returned."""
        with self._lock:
            return self._memory.pop() if self._memory else bytearray(self.piece_bytes)

    def give_back(self, memory: bytearray) -> None:
        """Take memory back, for another piece."""
        with self._lock:
            self._memory.append(memory)

    def take_turn(self) -> None:
        """Wait until a connection is free. Sending a piece ends the turn."""
        self._free.acquire()

    def end_turn(self) -> None:
        """Let others use the connection."""
        self._free.release()

    def begin(self, key: str) -> MultipartUpload:
        """Begin an upload, in its turn: so there are no more connections than allowed."""
        self.take_turn()
        try:
            return self.bucket.begin(key)[0]
        finally:
            self.end_turn()

    def send(self, upload: MultipartUpload, number: int, memory: bytearray, size: int) -> Receipt:
        """Send a piece, which is the beginning of its memory; its memory and its turn end with that."""
        try:
            piece = memory if size == len(memory) else bytes(memoryview(memory)[:size])
            return self.bucket.send(upload, number, piece)
        finally:
            self.end_turn()
            self.give_back(memory)


class Pieces:
    """The pieces of one upload. Used by one thread."""

    def __init__(self, line: Line, upload: MultipartUpload) -> None:
        self._line, self._upload = line, upload
        self._tasks: list[Future[Receipt]] = []

    def begin(self, memory: bytearray, size: int) -> None:
        """Begin to send the next piece; waits while too many are under way. Raises the error of an earlier one."""
        self._take_turn()
        number = len(self._tasks) + 1
        run_in_thread(lambda: self._line.send(self._upload, number, memory, size), self._tasks)

    def end(self, memory: bytearray, size: int) -> None:
        """Send the last piece, in this thread: most uploads have no other. Raises the error of an earlier one."""
        self._take_turn()
        task: Future[Receipt] = Future()
        number = len(self._tasks) + 1
        task.set_result(self._line.send(self._upload, number, memory, size))
        self._tasks.append(task)

    def receipts(self) -> list[Receipt]:
        """Wait for all pieces. Raises the error of the first one that failed."""
        return [task.result() for task in self._tasks]

    def settle(self) -> None:
        """Wait, for a few seconds, until none is under way: what arrives later is not removed with the upload."""
        wait(self._tasks, _WAIT_SECONDS)

    def _take_turn(self) -> None:
        self._line.take_turn()
        try:
            for task in self._tasks:
                if task.done():
                    task.result()
        except BaseException:
            self._line.end_turn()
            raise
