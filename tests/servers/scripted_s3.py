"""A small S3 server that stores what it gets, and fails as a test tells it to.

`server.say("send", Act(500), Act(503, "SlowDown"))` are the answers to the next two pieces; then all is well again.
`server.always["abort"] = Act(403, "AccessDenied")` holds for each. Operations: begin, send, complete, abort, head, get,
list, list-uploads, list-parts, put, remove.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .s3 import S3Place, aws_variables


@dataclass(frozen=True)
class Act:
    """How one request is answered.

    Where it fails, nothing is done, unless `done`. `lost`: the connection is closed in place of an answer.
    `flipped`: a byte of the body changes on the way. `hangs`: there is no answer until the server stops.
    `body` stands in place of the answer.
    """

    status: int = 200
    code: str = ""
    done: bool = False
    lost: bool = False
    flipped: bool = False
    hangs: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    body: str | None = None


@dataclass(frozen=True)
class Call:
    """A request that came; the names of headers are in lower case."""

    operation: str
    key: str
    headers: Mapping[str, str]
    body: bytes


class ScriptedS3(ThreadingHTTPServer):
    """One bucket. With `checksums`, it compares and tells CRC32s and keeps conditions, as AWS does."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, checksums: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.checksums = checksums
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.modified: dict[str, float] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.calls: list[Call] = []
        self.always: dict[str, Act] = {}
        self.part_headers: dict[str, str] = {}
        self.script: dict[str, list[Act]] = defaultdict(list)
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def say(self, operation: str, *acts: Act) -> None:
        """Answer the next requests of a kind so."""
        self.script[operation].extend(acts)

    def calls_of(self, operation: str) -> list[Call]:
        return [call for call in self.calls if call.operation == operation]

    def put(self, key: str, content: bytes) -> None:
        self.objects[key], self.etags[key] = content, hashlib.md5(content).hexdigest()
        self.modified[key] = time.time()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is not an error."""


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedS3

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def do_any(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = _operation(self.command, key, query)
        with server.lock:
            server.calls.append(
                Call(operation, key, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            script = server.script[operation]
            act = script.pop(0) if script else server.always.get(operation, Act())
        if act.hangs:
            server.stopping.wait()
        if act.flipped:
            body = body[:7] + bytes([body[7] ^ 1]) + body[8:]
        failed = act.status >= 300 or act.lost or act.hangs or act.body is not None
        status, headers, answer = act.status, {}, b""
        if act.done or not failed:
            try:
                with server.lock:
                    headers, answer = getattr(self, "_" + operation.replace("-", "_"))(key, query, body)
            except _RefusedError as refused:
                status, answer = refused.status, _error(refused.code, "")
        if act.lost or act.hangs:
            self.close_connection = True
            return
        if failed:
            answer = _error(act.code, act.message) if act.body is None else act.body.encode()
        self._reply(status, {**headers, **act.headers}, answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815

    def _reply(self, status: int, headers: Mapping[str, str], answer: bytes) -> None:
        self.send_response_only(status)
        for name, value in {"Date": self.date_time_string(), "Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _begin(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        id_ = f"upload-{len(self.server.calls)}"
        self.server.uploads[id_] = (key, {})
        return {}, f"<InitiateMultipartUploadResult><UploadId>{id_}</UploadId></InitiateMultipartUploadResult>".encode()

    def _send(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        pieces = self._pieces(query)
        headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', **self.server.part_headers}
        if self.server.checksums:
            headers["x-amz-checksum-crc32"] = _crc32(body)
            if self.headers["x-amz-checksum-crc32"] != _crc32(body):
                raise _RefusedError(400, "BadDigest")
        pieces[int(query["partNumber"])] = body
        return headers, b""

    def _complete(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        pieces = self._pieces(query)
        wanted = {
            int(piece.findtext("{*}PartNumber", "")): piece.findtext("{*}ETag", "").strip('"')
            for piece in ElementTree.fromstring(body)
        }
        known = {
            number: self.server.part_headers.get("ETag", hashlib.md5(piece).hexdigest())
            for number, piece in pieces.items()
        }
        if wanted != known:
            raise _RefusedError(400, "InvalidPart")
        whole = b"".join(piece for _, piece in sorted(pieces.items()))
        if self.server.checksums:
            if self.headers["If-None-Match"] == "*" and key in self.server.objects:
                raise _RefusedError(412, "PreconditionFailed")
            sent = (self.headers["x-amz-checksum-crc32"], self.headers["x-amz-mp-object-size"])
            if sent != (_crc32(whole), str(len(whole))) or self.headers["x-amz-checksum-type"] != "FULL_OBJECT":
                raise _RefusedError(400, "BadDigest")
        digests = b"".join(hashlib.md5(piece).digest() for _, piece in sorted(pieces.items()))
        del self.server.uploads[query["uploadId"]]
        self.server.objects[key] = whole
        self.server.etags[key] = etag = f"{hashlib.md5(digests).hexdigest()}-{len(pieces)}"
        self.server.modified[key] = time.time()
        crc32 = f"<ChecksumCRC32>{_crc32(whole)}</ChecksumCRC32>" if self.server.checksums else ""
        return {}, f"<CompleteMultipartUploadResult><ETag>{etag}</ETag>{crc32}</CompleteMultipartUploadResult>".encode()

    def _abort(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        self._pieces(query)
        del self.server.uploads[query["uploadId"]]
        return {}, b""

    def _head(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        if key not in self.server.objects:
            raise _RefusedError(404, "NoSuchKey")
        content = self.server.objects[key]
        modified = self.date_time_string(self.server.modified[key])  # type: ignore[arg-type] # any number
        headers = {"ETag": f'"{self.server.etags[key]}"', "Last-Modified": modified}
        if self.server.checksums and self.headers["x-amz-checksum-mode"] == "ENABLED":
            headers |= {"x-amz-checksum-crc32": _crc32(content), "x-amz-checksum-type": "FULL_OBJECT"}
        return headers, content

    _get = _head

    def _put(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        etag, wanted = self.server.etags.get(key), (self.headers["If-Match"] or "").strip('"')
        if self.server.checksums:
            if wanted and etag is None:
                raise _RefusedError(404, "NoSuchKey")
            if (wanted and wanted != etag) or (self.headers["If-None-Match"] == "*" and etag is not None):
                raise _RefusedError(412, "PreconditionFailed")
        if source := self.headers["x-amz-copy-source"]:
            body = self.server.objects[unquote(source).partition("/")[2]]
        headers = {"x-amz-checksum-crc32": _crc32(body)} if self.server.checksums else {}
        if self.server.checksums and self.headers.get("x-amz-checksum-crc32", _crc32(body)) != _crc32(body):
            raise _RefusedError(400, "BadDigest")
        self.server.put(key, body)
        headers["ETag"] = f'"{self.server.etags[key]}"'
        return headers, f"<CopyObjectResult><ETag>{self.server.etags[key]}</ETag></CopyObjectResult>".encode()

    def _remove(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        for each in ElementTree.fromstring(body).iterfind("{*}Object/{*}Key"):
            for known in (self.server.objects, self.server.etags, self.server.modified):
                known.pop(each.text or "", None)  # type: ignore[attr-defined] # all three are dictionaries
        return {}, b"<DeleteResult></DeleteResult>"

    def _list(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        prefix, below = query.get("prefix", ""), query.get("delimiter")
        found_keys = [key for key in sorted(self.server.objects) if key.startswith(prefix)]
        ends = {key: key.find(below, len(prefix)) if below else -1 for key in found_keys}
        keys = list(dict.fromkeys(key[: ends[key] + 1] or key for key in found_keys))
        start = int(query.get("continuation-token", 0))
        found = "".join(map(self._listed, keys[start : start + 2]))
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{start + 2}</NextContinuationToken>"
        return {}, f"<ListBucketResult>{found}{more if keys[start + 2 :] else ''}</ListBucketResult>".encode()

    def _listed(self, key: str) -> str:
        if key.endswith("/"):
            return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
        modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.server.modified[key]))
        return f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified></Contents>"

    def _list_uploads(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        uploads = [
            (key, id_) for id_, (key, _) in self.server.uploads.items() if key.startswith(query.get("prefix", ""))
        ]
        start = int(query.get("upload-id-marker", 0))
        found = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{id_}</UploadId></Upload>" for key, id_ in uploads[start : start + 2]
        )
        more = (
            f"<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
            f"<NextUploadIdMarker>{start + 2}</NextUploadIdMarker>"
        )
        return {}, f"<R>{found}{more if uploads[start + 2 :] else ''}</R>".encode()

    def _list_parts(self, key: str, query: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        pieces = sorted(self._pieces(query).items())
        start = int(query.get("part-number-marker", 0))
        found = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{hashlib.md5(piece).hexdigest()}</ETag><Size>{len(piece)}</Size></Part>"
            for number, piece in pieces[start : start + 1]
        )
        more = f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{start + 1}</NextPartNumberMarker>"
        return {}, f"<R>{found}{more if pieces[start + 1 :] else ''}</R>".encode()

    def _pieces(self, query: Mapping[str, str]) -> dict[int, bytes]:
        if query["uploadId"] not in self.server.uploads:
            raise _RefusedError(404, "NoSuchUpload")
        return self.server.uploads[query["uploadId"]][1]


def _operation(method: str, key: str, query: Mapping[str, str]) -> str:
    if not key and method == "POST":
        return "remove"
    if not key:
        return "list-uploads" if "uploads" in query else "list"
    if "uploadId" in query:
        return {"PUT": "send", "POST": "complete", "DELETE": "abort", "GET": "list-parts"}[method]
    return {"POST": "begin", "PUT": "put", "HEAD": "head", "GET": "get"}[method]


def _crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def _error(code: str, message: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>'.encode()


@dataclass
class ScriptedPlace(S3Place):
    """The bucket of a server that says what it is told to."""

    server: Any = None

    def visible(self) -> dict[str, bytes]:
        return {key.removeprefix(self.folder): content for key, content in self.server.objects.items()}

    def hidden(self) -> set[str]:
        return {key.removeprefix(self.folder) for key, _ in self.server.uploads.values()}

    def put(self, name: str, content: bytes) -> None:
        self.server.put(self.folder + name, content)


@contextlib.contextmanager
def scripted_place(checksums: bool = True) -> Iterator[ScriptedPlace]:
    """A new server with one bucket."""
    server = ScriptedS3(checksums)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with aws_variables():
        place = ScriptedPlace("http://{}:{}".format(*server.server_address[:2]), server=server)
        try:
            yield place
        finally:
            place.close()
            server.stopping.set()
            server.shutdown()
            server.server_close()
            thread.join()
