"""Run a server: over stdio for one client, or over HTTP for many."""

from __future__ import annotations

import logging
import sys
import threading

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from keenkite.errors import KeenkiteError

from .app import make_server
from .builder import Builder
from .library import Library
from .settings import LOOPBACK, ServerSettings

logger = logging.getLogger(__name__)

MAX_BODY = 1_000_000
"""Bytes of a request: the largest polygon is a tenth of that."""


def serve(settings: ServerSettings, library: Library | None = None) -> None:
    """Serve until the client goes (stdio) or the process is told to end (http)."""
    # Before the SDK sets up its own, which wraps lines at the width of a terminal.
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    say_where(settings)
    with library or Library(settings) as library, Builder(library) as builder:
        server = make_server(library, builder)
        threading.Thread(target=_prepare, args=(builder,), name="prepare", daemon=True).start()
        if settings.transport == "stdio":
            anyio.run(server.run_stdio_async)
        else:
            _serve_http(server, settings)


def say_where(settings: ServerSettings) -> None:
    """Tell the operator where pixels and jobs are, where that goes without saying no longer."""
    if settings.by_url and settings.folder is None:
        logger.warning(
            "The collections are on a Qdrant server. Their pixels and the build jobs are in the "
            "folder %s; --folder names another.",
            settings.files.absolute(),
        )


def _prepare(builder: Builder) -> None:
    """What would make the first call slow, while the client still reads the tools."""
    try:
        builder.library.prepare()
    except KeenkiteError as error:
        logger.warning("No model is loaded yet: %s", error)
    if builder.library.settings.read_only:
        return
    try:
        builder.resume()
    except KeenkiteError as error:
        logger.warning("Interrupted builds could not be resumed: %s", error)


def _serve_http(server: MCPServer, settings: ServerSettings) -> None:
    import uvicorn

    app = server.streamable_http_app(
        host=settings.host,
        transport_security=transport_security(settings),
        max_request_body_size=MAX_BODY,
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        # Streams stay open as long as their clients; the end must not wait for them.
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run()


def transport_security(settings: ServerSettings) -> TransportSecuritySettings:
    """Which Host and Origin headers are served: this machine's, and those of the settings.

    A page in a browser can send requests to a local server by a name of its own (DNS rebinding);
    the SDK guards against that for local addresses only.
    """
    names = [*LOOPBACK, *settings.allowed_hosts]
    if settings.host not in ("", "0.0.0.0", "::"):  # noqa: S104
        names.append(settings.host)
    hosts = [
        f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name for name in names
    ]
    both = [pattern for host in hosts for pattern in _with_and_without_port(host)]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=both,
        allowed_origins=[f"{scheme}://{host}" for host in both for scheme in ("http", "https")],
    )


def _with_and_without_port(host: str) -> list[str]:
    """A name alone stands for itself at any port; one with a port for no other."""
    has_port = ":" in host.rpartition("]")[2]
    return (
        [host]
        if has_port and not host.endswith(":*")
        else [host.removesuffix(":*"), f"{host.removesuffix(':*')}:*"]
    )
