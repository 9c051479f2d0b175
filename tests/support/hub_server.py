"""A local server that answers the file endpoints of the Hugging Face hub."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 16


class Hub(ThreadingHTTPServer):
    """Files under `{repo}/resolve/main/{file}`; what it was asked is in `requests`."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes | Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        """"owner/name/file" -> its contents."""
        self.requests: list[tuple[str, str, str | None]] = []
        """(method, "owner/name/file", Range header) of each, in order."""
        self.break_off_after: list[int] = []
        """One for each GET to come: the connection breaks off after so many bytes."""
        self.status = 200
        """Anything else is what every request is answered with."""
        self.after_break: int | None = None
        """Becomes the status once a connection has been broken off."""
        self.half_sent = threading.Event()
        """Set when half of a file has been sent."""
        self.hold: threading.Event | None = None
        """Waited for in the middle of a file, when there is one."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def etag(self, name: str) -> str:
        contents = self.files[name]
        if isinstance(contents, Path):
            contents = contents.read_bytes()
        return hashlib.sha256(contents).hexdigest()


@contextmanager
def serve(files: dict[str, bytes | Path]) -> Iterator[Hub]:
    hub = Hub(files)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        if hub.hold:
            hub.hold.set()
        hub.shutdown()
        thread.join()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/main/(.+)", self.path)
        if not match:  # huggingface_hub also asks its own questions
            self._refuse(404, {})
            return
        repo, name = match[1], "/".join(match.groups())
        asked = self.headers.get("Range")
        self.server.requests.append((self.command, name, asked))
        if self.server.status != 200:
            self._refuse(self.server.status, {})
            return
        if name not in self.server.files:
            known = any(file.startswith(f"{repo}/") for file in self.server.files)
            code = "EntryNotFound" if known else "RepoNotFound"
            self._refuse(404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT})
            return
        contents = self.server.files[name]
        if isinstance(contents, Path):
            contents = contents.read_bytes()
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = contents[start:]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{self.server.etag(name)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(contents)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):  # whoever asked was killed
                self._send(body)

    def _send(self, body: bytes) -> None:
        limit = self.server.break_off_after.pop(0) if self.server.break_off_after else len(body)
        for i in range(0, limit, CHUNK):
            self.wfile.write(body[i : min(i + CHUNK, limit)])
            if i >= len(body) // 2 and not self.server.half_sent.is_set():
                self.server.half_sent.set()
                if self.server.hold:
                    self.server.hold.wait(30)
        if limit < len(body):
            self.server.status = self.server.after_break or self.server.status
            self.close_connection = True

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": "0"}).items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""
