"""A part on its way to S3: a multipart upload through smart-open, which cuts what is written into pieces.

smart-open is given a client of ours in place of boto3's (`_PieceClient`): several pieces are sent at once, each carries
its CRC32, and the answer is compared. That client cannot complete an upload: whatever becomes of the stream, left open,
closed by the garbage collector or by an exception, nothing becomes visible.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack, cast

import smart_open.s3
from isal import isal_zlib

from converter.delivery.destinations.base import Arrived
from converter.delivery.destinations.s3_pieces import Line, Pieces
from converter.delivery.destinations.s3_state import PartState
from converter.errors import DestinationError
from converter.remote.s3_bucket import MultipartUpload, Proof


class S3Upload:
    """A part on its way."""

    def __init__(self, name: str, key: str, line: Line) -> None:
        self._name, self._bucket = name, line.bucket
        self._written = self._crc32 = 0
        self._client = _PieceClient(line, line.begin(key))
        self._stream = smart_open.s3.open(
            line.bucket.name,
            key,
            "wb",
            min_part_size=line.piece_bytes,
            client=self._client,
            writebuffer=cast("io.BytesIO", _PieceBuffer(line)),  # any file is accepted
        )

    @property
    def state(self) -> Mapping[str, Any]:
        """The upload."""
        return {"key": self._client.upload.key, "upload_id": self._client.upload.id}

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Whenever there are enough for a piece, it is sent."""
        with self._client.sending():
            self._stream.write(data)
        self._written += len(data)
        self._crc32 = isal_zlib.crc32(data, self._crc32)

    def finish(self) -> Arrived:
        """Send the rest, and compare the number of bytes."""
        with self._client.sending(last=True):
            self._stream.close()
        client = self._client
        if not client.whole or client.bytes != self._written:
            raise DestinationError(
                "E-PART-SIZE",
                f"'{self._bucket.url(client.upload.key)}' has {self._written:,} bytes, but {client.bytes:,} were sent.",
                "Nothing was published. An empty part cannot be sent.",
            )
        state = PartState(*client.upload, client.etags, client.proof)
        return Arrived(self._name, self._written, self._crc32, state._asdict())

    def abort(self) -> None:
        """Abort the upload."""
        self._client.pieces.settle()
        with contextlib.suppress(DestinationError):
            self._bucket.abort(self._client.upload)


class _PieceBuffer:
    """A file in memory for the next piece of an upload, which can be taken out, to be sent."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._memory: bytearray | None = None
        self._position = self._end = 0

    def tell(self) -> int:
        """Return the position of the next bytes."""
        return self._position

    def seek(self, position: int) -> int:
        """Move to a position."""
        self._position = position
        return position

    def truncate(self, size: int) -> int:
        """Drop what is after `size`."""
        self._end = size
        return size

    def write(self, data: memoryview) -> int:
        """Store bytes, which must fit."""
        if self._memory is None:
            self._memory = self._line.borrow()
        end = self._position + len(data)
        self._memory[self._position : end] = data
        self._position = self._end = end
        return len(data)

    def take(self) -> tuple[bytearray, int]:
        """Return the memory, and how many bytes of it are the piece; new memory is borrowed for the next one."""
        memory, self._memory = self._memory, None
        return memory or bytearray(), self._end


class _Arguments(TypedDict, total=False):
    """The arguments that smart-open passes to a client."""

    Bucket: str
    Key: str
    UploadId: str
    PartNumber: int
    Body: _PieceBuffer
    MultipartUpload: Mapping[str, list[Mapping[str, str]]]


class _PieceClient:
    """The client that smart-open is given in place of boto3's. It only sends the pieces of one upload.

    Pieces are sent only in the context `sending`: a stream that was abandoned is closed by the garbage collector at
    some time, and must send nothing then. No upload is ever completed here. Errors are mapped: smart-open would answer
    an error of boto3 by sending the piece again, which is empty by then.
    """

    def __init__(self, line: Line, upload: MultipartUpload) -> None:
        self.upload = upload
        self.pieces = Pieces(line, upload)
        self.etags: list[str] = []
        self.bytes = 0
        self.whole = False
        self._open = self._last = False
        self._proofs: set[Proof] = set()

    @property
    def proof(self) -> Proof:
        """What the server returned for all pieces; empty where that differs."""
        return min(self._proofs) if len(self._proofs) == 1 else ""

    @contextlib.contextmanager
    def sending(self, *, last: bool = False) -> Iterator[None]:
        """Send the pieces that are written in this context, of which the first is the `last` one, or none is."""
        self._open, self._last = True, last
        try:
            yield
        finally:
            self._open = False

    def create_multipart_upload(self, **call: Unpack[_Arguments]) -> Mapping[str, str]:
        """Return the upload, which has begun already."""
        return {"UploadId": self.upload.id}

    def upload_part(self, **call: Unpack[_Arguments]) -> Mapping[str, str]:
        """Send a piece, or begin to. Its number stands for its ETag, which may not be known yet."""
        if not self._open:
            return {"ETag": ""}
        memory, size = call["Body"].take()
        self.bytes += size
        send = self.pieces.end if self._last else self.pieces.begin
        send(memory, size)
        return {"ETag": str(call["PartNumber"])}

    def complete_multipart_upload(self, **call: Unpack[_Arguments]) -> None:
        """Wait for all pieces, note that the stream was closed properly, and send nothing."""
        if self._open:
            receipts = self.pieces.receipts()
            self.etags = [etag for etag, _ in receipts]
            self._proofs = {proof for _, proof in receipts}
            numbers = [piece["ETag"] for piece in call["MultipartUpload"]["Parts"]]
            self.whole = numbers == [str(number) for number in range(1, len(receipts) + 1)]

    def abort_multipart_upload(self, **call: Unpack[_Arguments]) -> None:
        """Do nothing: a part aborts its upload itself."""

    def put_object(self, **call: Unpack[_Arguments]) -> None:
        """Do nothing: smart-open would make an empty object at once where nothing was written."""
