"""A real STAC API on this machine: PostgreSQL with PostGIS, pgstac and stac-fastapi-pgstac.

`.ci/install-stac` brings what it needs: Debian's PostgreSQL, and the Python packages in an
environment of their own, `.venv-stac`, or where KEENKITE_STAC_PYTHON says.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PATIENCE = 120.0
"""Seconds to wait for a server to start."""
_HINT = "run .ci/install-stac to have it"
# eo:cloud_cover is compared as the number it is: without this row pgstac may compare text.
_QUERYABLE = """
SET search_path TO pgstac, public;
INSERT INTO queryables (name, property_wrapper, definition)
SELECT 'eo:cloud_cover', 'to_float', '{"type": "number"}'
WHERE NOT EXISTS (SELECT FROM queryables WHERE name = 'eo:cloud_cover')
"""


class MissingError(Exception):
    """Something is not installed; says what, and how to get it."""


@contextmanager
def stac_server(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The URL of an API that holds some items and their collections.

    Raises:
        MissingError: PostgreSQL, PostGIS or a Python package is not there.
    """
    postgres, python = _postgres(), _python()
    with ExitStack() as stack:
        database = stack.enter_context(_database(postgres))
        environment = os.environ | database
        pypgstac = [python, "-m", "pypgstac.pypgstac"]
        _run([*pypgstac, "migrate"], environment)
        _run([postgres / "psql", "-v", "ON_ERROR_STOP=1", "-c", _QUERYABLE], environment)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collections = [_collection(id_) for id_ in sorted({item["collection"] for item in items})]
        for kind, records in (("collections", collections), ("items", items)):
            file = folder / f"{kind}.ndjson"
            file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
            _run([*pypgstac, "load", kind, file, "--method", "upsert"], environment)
        yield stack.enter_context(_api(python, environment))


def _postgres() -> Path:
    """The folder of PostgreSQL's programs; Debian keeps most of them off the PATH."""
    folders = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "psql").exists():
            asked = subprocess.run(
                [folder / "pg_config", "--sharedir"], capture_output=True, text=True
            )
            shared = Path(asked.stdout.strip() or f"/usr/share/postgresql/{folder.parent.name}")
            if (shared / "extension" / "postgis.control").exists():
                return folder
    raise MissingError(f"PostgreSQL with PostGIS is not installed: {_HINT}")


def _python() -> str:
    """An interpreter that has the API's packages."""
    candidates = [os.environ.get("KEENKITE_STAC_PYTHON"), ROOT / ".venv-stac/bin/python"]
    for candidate in [*candidates, sys.executable]:
        check = "import pypgstac, stac_fastapi.pgstac, uvicorn"
        if candidate and Path(candidate).exists():
            tried = subprocess.run([candidate, "-c", check], capture_output=True)
            if tried.returncode == 0:
                return str(candidate)
    raise MissingError(f"stac-fastapi-pgstac and pypgstac are not installed: {_HINT}")


@contextmanager
def _database(postgres: Path) -> Iterator[dict[str, str]]:
    """A cluster of its own; the environment that leads to it."""
    user = _user()
    with tempfile.TemporaryDirectory(prefix="keenkite-postgres-") as folder:
        options: dict[str, Any] = {"cwd": folder, "user": user, "stdout": subprocess.DEVNULL}
        if user is not None:
            os.chown(folder, user, pwd.getpwuid(user).pw_gid)
            options |= {"group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
        data = Path(folder) / "data"
        port = _free_port()
        subprocess.run(
            [postgres / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            check=True, **options,
        )  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
        }  # fmt: skip
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [postgres / "postgres", "-D", data, *arguments]
        with _process(command, stderr=subprocess.DEVNULL, **options) as process:
            ready = [str(postgres / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            _wait(process, lambda: subprocess.run(ready).returncode == 0)
            yield {
                "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres",
                "PGPASSWORD": "none", "PGDATABASE": "postgres",
            }  # fmt: skip


@contextmanager
def _api(python: str, environment: Mapping[str, str]) -> Iterator[str]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory"]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/_mgmt/ping", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    with _process(
        [*command, "--port", str(port), "--log-level", "warning"], env=environment, cwd="/"
    ) as process:
        _wait(process, ready)
        yield url


@contextmanager
def _process(command: Sequence[Any], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A running program, ended when the context is left."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # to PostgreSQL: end now, wait for no client
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not start: it says why on standard error")
        time.sleep(0.1)


def _run(command: Sequence[Any], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _user() -> int | None:
    """Whom PostgreSQL runs as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise MissingError("PostgreSQL cannot run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def _collection(id_: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": id_,
        "description": f"{id_}, as far as the tests need it",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-27T10:25:31.456000Z", None]]},
        },
        "links": [],
    }
