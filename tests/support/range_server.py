"""A folder over HTTP with byte ranges, as object stores serve it; counts, and fails on request."""

import re
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SILENCE = 0
"""In place of an HTTP status: the request is never answered."""


@dataclass
class RangeServer:
    """What is served, what was asked for, and what is to fail."""

    folder: Path
    url: str = ""
    """Without a slash at the end."""
    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """File name -> (first byte, bytes) of every GET answered with data."""
    requests: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """File name -> requests of any kind."""
    parts: bool = True
    """False: a server that knows no byte ranges, and answers with the whole file."""
    failures: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """File name -> HTTP status of each of its next requests, or SILENCE; then it is well again."""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serve(
    folder: Path, *, parts: bool = True, certificate: tuple[Path, Path] | None = None
) -> Iterator[RangeServer]:
    """Serve a folder; over TLS, as localhost, with a (certificate, key)."""
    server = RangeServer(folder, parts=parts)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            name = unquote(urlsplit(self.path).path).lstrip("/")
            path = server.folder / name
            with server.lock:
                server.requests[name] += 1
                status = server.failures[name].pop(0) if server.failures[name] else 200
            if status == SILENCE:
                server.closing.wait(60)
                self.close_connection = True
                return
            if status == 200 and not path.is_file():
                status = 404
            if status != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = path.read_bytes()
            begin, end = 0, len(data)
            if server.parts and (
                found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            ):
                status, begin = 206, int(found[1])
                end = min(int(found[2] or end) + bool(found[2]), end)
            self.send_response(status)
            if server.parts:
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - begin))
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
            self.end_headers()
            if with_body:
                with server.lock:
                    server.ranges[name].append((begin, end - begin))
                with suppress(OSError):  # GDAL hangs up on what it did not ask for
                    self.wfile.write(data[begin:end])

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        server.url = f"https://localhost:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        thread.join()
        http.server_close()
