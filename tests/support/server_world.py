"""What the tests of the server share: an indexed world of colours, servers over it, clients."""

import atexit
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent

from keenkite.build import build_index
from keenkite.catalog import open_catalog
from keenkite.index import TileIndex
from keenkite_server.app import make_server
from keenkite_server.builder import Builder
from keenkite_server.library import Library
from keenkite_server.settings import ServerSettings
from tests.support.fakes import FakeEncoder
from tests.support.paths import ROOT
from tests.support.server_encoder import FakeModels
from tests.support.worlds import DAYS, write_world

T = TypeVar("T")
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "0"},
}
"""Parameters of initialize."""
ERAS = {"2025-11-25": "legacy", "2026-07-28": "auto"}
"""Protocol version -> the mode of the SDK's client that speaks it."""


@dataclass(frozen=True)
class Demo:
    """A catalog of scenes, and a data folder whose one collection, "fake-colours", has its first
    pass as region "colours"."""

    catalog: Path
    data: Path
    bbox: list[float]
    days: tuple[str, str]

    @property
    def build(self) -> dict[str, Any]:
        """Arguments of build_index for all of it."""
        start, end = self.days
        return {"region": "all", "bbox": self.bbox, "start": start, "end": end, "max_cloud": "100%"}

    def settings(self, data: Path | str | None = None, **more: Any) -> ServerSettings:
        settings = {"data": str(data or self.data), "catalog": str(self.catalog), **more}
        return ServerSettings(**settings)

    def environment(self, data: Path | None = None, **more: str) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if "KEENKITE" not in name},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")]),
            "KEENKITE_DATA": str(data or self.data),
            "KEENKITE_CATALOG": str(self.catalog),
            "OMP_NUM_THREADS": "1",
            **more,
        }


@functools.cache
def demo() -> Demo:
    """Made once for all test files, and never written to: build into a folder of your own."""
    folder = Path(tempfile.mkdtemp(prefix="keenkite-server-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _, _, area = write_world(folder / "catalog")
    first, last = DAYS
    encoder = FakeEncoder()
    with TileIndex.open(collection_in(folder / "data"), encoder=encoder) as index:
        catalog = open_catalog(str(folder / "catalog"))
        end = first.replace(day=31)
        build_index(index, encoder, area, first, end, catalog=catalog, region="colours")
    return Demo(
        catalog=folder / "catalog",
        data=folder / "data",
        bbox=list(area.bboxes[0]),
        days=(first.isoformat(), last.isoformat()),
    )


def collection_in(data: Path, name: str = FakeEncoder.name) -> Path:
    """Where a data folder has a collection."""
    return data / "collections" / name


@contextmanager
def serving(
    settings: ServerSettings, *, slow: float = 0.0, models: FakeModels | None = None
) -> Iterator[MCPServer]:
    """A server in this process."""
    models = models or FakeModels(slow=slow, named=settings.model)
    with Library(settings, source=models) as library, Builder(library) as builder:
        yield make_server(library, builder)


def stdio(environment: Mapping[str, str], *flags: str) -> StdioServerParameters:
    """A server as a subprocess, with FakeEncoder in it."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-W", "ignore", str(ROOT / "tests" / "support" / "serve_fake.py"), *flags],
        env=dict(environment),
        cwd=ROOT,
    )


Say = Callable[[str], None]
Answer = Callable[[], dict[str, Any]]


@contextmanager
def conversation(environment: Mapping[str, str]) -> Iterator[tuple[Say, Answer]]:
    """A server over stdio without a client: to say a line of JSON, and to hear the next answer."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "support" / "serve_fake.py")],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    into, out_of = server.stdin, server.stdout

    def say(line: str) -> None:
        into.write(line.encode() + b"\n")
        into.flush()

    def answer() -> dict[str, Any]:
        if not select.select([out_of], [], [], 60)[0]:
            raise TimeoutError("no answer within a minute")
        heard: dict[str, Any] = json.loads(out_of.readline())
        return heard

    try:
        say(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}))
        answer()
        say('{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        yield say, answer
    finally:
        into.close()
        server.wait(timeout=60)
        out_of.close()


@contextmanager
def http(environment: Mapping[str, str], *flags: str) -> Iterator[str]:
    """A server over HTTP in a process of its own; gives its URL."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "support" / "serve_fake.py")]
    process = subprocess.Popen(
        [*command, "--transport", "http", "--port", str(port), *flags],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        sys.stderr.write(errors.decode(errors="replace"))


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the server ended at once")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def talk(
    story: Callable[[Client], Awaitable[T]], server: Any, *, mode: str = "auto", **options: Any
) -> T:
    """Run a story with a client of its own."""

    async def main() -> T:
        with anyio.fail_after(120):
            async with Client(server, mode=mode, **options) as client:
                return await story(client)

    return anyio.run(main)


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def ask(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    """A call that must not fail."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """A call that must fail; its text, which has nothing of the host in it."""
    result = await client.call_tool(tool, arguments)
    text = text_of(result)
    assert result.is_error, text
    assert result.structured_content is None
    assert_nothing_of_the_host(text)
    return text


def assert_nothing_of_the_host(text: str, *more: str) -> None:
    """No path, traceback or address of this machine, and no failure that nobody foresaw."""
    secrets: Sequence[str] = (str(demo().data.parent), str(ROOT), str(Path.home()), *more)
    for leak in (*secrets, "Traceback", "pydantic", "site-packages", "inside the server"):
        assert leak not in text, text
