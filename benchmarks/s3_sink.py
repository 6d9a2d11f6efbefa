"""A server on this machine that takes uploads as S3 does, returns the checksums that it is given, and keeps nothing.

`python -m benchmarks.s3_sink` prints its port, and goes on until it is stopped.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_READ = 1 << 20


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer a listing: there is nothing."""
        self._reply("<ListBucketResult></ListBucketResult>")

    def do_HEAD(self) -> None:
        """Answer what is there: nothing."""
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        """Take an abort."""
        self._reply("", 204)

    def do_POST(self) -> None:
        """Begin or complete an upload."""
        self._read()
        url = urlsplit(self.path)
        _, bucket, key = url.path.split("/", 2)
        if "uploads" in parse_qs(url.query, keep_blank_values=True):
            self._reply(
                f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>1</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        else:
            crc32 = self.headers.get("x-amz-checksum-crc32", "")
            self._reply(
                f"<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>1</ETag>"
                f"<ChecksumCRC32>{crc32}</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"
                "</CompleteMultipartUploadResult>"
            )

    def do_PUT(self) -> None:
        """Take a piece."""
        self._read()
        self._reply("", headers={"ETag": '"1"', "x-amz-checksum-crc32": self.headers.get("x-amz-checksum-crc32", "")})

    def _read(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        while left:
            left -= len(self.rfile.read(min(left, _READ)))

    def _reply(self, text: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve on a free port of this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
