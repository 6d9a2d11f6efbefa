"""A file on its way by SFTP: many writes are under way at once, and every answer is read.

paramiko has pipelined writes of its own. They wait for all answers as soon as one has arrived, which leaves a slow line
idle, and never look at those to the last writes. So its requests are sent and answered here, by its private calls.
"""

from __future__ import annotations

import contextlib
from typing import Any

import paramiko
from paramiko.file import BufferedFile
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED, CMD_EXTENDED_REPLY, CMD_STATUS, CMD_WRITE, int64

WRITE_BYTES = 32 << 10
"""What all servers accept in one write."""
_MOST_BYTES = 4 << 20
"""The bytes of writes that may wait for their answers: twice what OpenSSH lets a connection have under way."""
_LARGE_WRITE = 4 * 32_704 - 64
"""A write that fills four packets of SSH, with its header: a sixth less CPU time. OpenSSH takes twice as much."""
_LIMITS = "limits@openssh.com"


def write_bytes(sftp: paramiko.SFTPClient) -> int:
    """Return how many bytes a write may have. Only OpenSSH is asked: its protocol leaves that open.

    Raises errors of paramiko where the connection fails.
    """
    if "OpenSSH" not in _channel_of(sftp).get_transport().remote_version:
        return WRITE_BYTES
    try:
        kind, answer = sftp._request(CMD_EXTENDED, _LIMITS)  # type: ignore[attr-defined]
    except OSError:  # of a version that does not know it, or of the connection: its next use shows that
        return WRITE_BYTES
    if kind != CMD_EXTENDED_REPLY:
        return WRITE_BYTES
    _, _, most = (answer.get_int64() for _ in range(3))  # of packets, reads and writes
    return _LARGE_WRITE if most >= _LARGE_WRITE else WRITE_BYTES


class PipelinedFile:
    """A file of a server that is written from its beginning. Used by one thread; methods raise errors of paramiko.

    `write_bytes` is how many bytes a write has.
    """

    def __init__(self, sftp: paramiko.SFTPClient, path: str, write_bytes: int, *, exclusive: bool) -> None:
        self._sftp, self._channel = sftp, _channel_of(sftp)
        self._file = sftp.open(path, "wxb" if exclusive else "wb", bufsize=0)
        self._write_bytes = write_bytes
        self._held = bytearray()
        self._position = 0
        self._waiting: dict[int, int] = {}  # the bytes of each request that is not answered yet
        self._waiting_bytes = 0
        self._error: Exception | None = None

    def write(self, data: memoryview) -> None:
        """Send the next bytes, as far as they fill a write. Raises the first error of earlier ones."""
        size = self._write_bytes
        start = 0
        if self._held:
            start = min(len(data), size - len(self._held))
            self._held += data[:start]
            if len(self._held) < size:
                return
            self._send(bytes(self._held))
            self._held.clear()
        while len(data) - start >= size:
            self._send(bytes(data[start : start + size]))
            start += size
        self._held += data[start:]

    def finish(self) -> None:
        """Send the rest, read all answers, and close the file, which may show the first error of a full disk."""
        if self._held:
            self._send(bytes(self._held))
        self._read_answers()  # first: some servers would handle the other requests at the same time
        self.forget()
        self._request(CMD_CLOSE, 0, self._file.handle)
        self._read_answers()

    def forget(self) -> None:
        """Keep paramiko from closing the file by itself, without looking at the answer."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            BufferedFile.close(self._file)

    def _send(self, data: bytes) -> None:
        self._request(CMD_WRITE, len(data), self._file.handle, int64(self._position), data)
        self._position += len(data)
        while self._waiting_bytes > _MOST_BYTES or (self._waiting and self._channel.recv_ready()):
            self._read_answer()
        self._check()

    def _request(self, kind: int, size: int, *arguments: object) -> None:
        number = self._sftp._async_request(self, kind, *arguments)  # type: ignore[attr-defined]
        self._waiting[number] = size
        self._waiting_bytes += size

    def _read_answers(self) -> None:
        while self._waiting:
            self._read_answer()
        self._check()

    def _read_answer(self) -> None:
        """Read one answer; paramiko gives it to `_async_response`."""
        self._sftp._read_response()  # type: ignore[attr-defined]

    def _async_response(self, kind: int, answer: Any, number: int) -> None:
        self._waiting_bytes -= self._waiting.pop(number)
        try:
            if kind != CMD_STATUS:
                raise paramiko.SFTPError("Expected status")
            self._sftp._convert_status(answer)  # type: ignore[attr-defined]
        except Exception as error:  # raised in its turn, not while paramiko reads
            self._error = self._error or error

    def _check(self) -> None:
        if self._error:
            raise self._error


def _channel_of(sftp: paramiko.SFTPClient) -> paramiko.Channel:
    channel = sftp.get_channel()
    if channel is None:
        raise EOFError
    return channel
