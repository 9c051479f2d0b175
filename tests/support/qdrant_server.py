"""A Qdrant server for tests: its HTTP interface, as far as keenkite uses it, over local mode."""

from __future__ import annotations

import json
import re
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel
from qdrant_client import QdrantClient, models


@dataclass
class Server:
    """What tests set, and what they see. `url` is where it answers."""

    url: str = ""
    api_key: str | None = None
    """Requests without this key are refused."""
    read_key: str | None = None
    """Requests with this one are only refused where they would write."""
    delay: float = 0.0
    """Seconds before an answer."""
    fail: Callable[[str, str], int | None] = lambda method, path: None
    """Given method and path: the status to answer with instead of working."""
    answer: bytes | None = None
    """A body to answer everything with."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request so far."""
    indexes: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Collection -> field -> kind of the payload indexes made; local mode forgets them."""
    engine: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    mutex: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server on a free port of this machine, gone afterwards."""
    state = Server(**settings)

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        state.engine.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: Server

    def handle_any(self) -> None:
        state = self.server_state
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        state.requests.append((self.command, path))
        time.sleep(state.delay)
        key = self.headers.get("api-key")
        if key is not None and key == state.read_key:
            if writes(self.command, path):
                return self.reply(403, b"Global access is required")
        elif state.api_key is not None and key != state.api_key:
            return self.reply(401, b"Must provide an API key")
        status = state.fail(self.command, path)
        if status is not None:
            return self.reply(status, _status("as the test wants it"))
        if state.answer is not None:
            return self.reply(200, state.answer)
        try:
            with state.mutex, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # local mode has no payload indexes, and says so
                result = _work(state, self.command, path, body)
        except ValueError as error:
            return self.reply(404 if "not found" in str(error) else 400, _status(str(error)))
        text = json.dumps({"result": result, "status": "ok", "time": 0.0}, default=_json)
        return self.reply(200, text.encode())

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  (their names)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def writes(method: str, path: str) -> bool:
    """Whether a request changes something."""
    return method != "GET" and not (
        method == "POST" and path.endswith(("/points", "/query", "/count", "/scroll", "/facet"))
    )


def _work(state: Server, method: str, path: str, body: bytes) -> object:
    engine = state.engine
    if (method, path) == ("GET", "/collections"):
        return engine.get_collections()
    match = re.fullmatch(r"/collections/([^/]+)(.*)", path)
    if match is None:
        raise ValueError(f"{path} not found")
    name, rest = match.groups()

    def given(model: type[BaseModel]) -> dict[str, Any]:
        parsed = model.model_validate_json(body)
        return {key: getattr(parsed, key) for key in parsed.model_fields_set}

    if method == "DELETE" and not rest:
        state.indexes.pop(name, None)
        return engine.delete_collection(name)
    match method, rest:
        case "GET", "/exists":
            return {"exists": engine.collection_exists(name)}
        case "GET", "":
            schema = {
                f: {"data_type": kind, "points": 0} for f, kind in state.indexes[name].items()
            }
            return engine.get_collection(name).model_dump(mode="json") | {"payload_schema": schema}
        case "PUT", "":
            return engine.create_collection(
                name, vectors_config=given(models.CreateCollection)["vectors"]
            )
        case "PUT", "/index":
            asked = given(models.CreateFieldIndex)
            state.indexes[name][asked["field_name"]] = asked["field_schema"].type
            return engine.create_payload_index(name, **asked)
        case "PUT", "/points":
            return engine.upsert(name, given(models.PointsList)["points"])
        case "POST", "/points":
            asked = given(models.PointRequest)
            return engine.retrieve(name, with_vectors=asked.pop("with_vector", False), **asked)
        case "POST", "/points/payload":
            asked = given(models.SetPayload)
            return engine.set_payload(name, asked["payload"], asked["points"])
        case "POST", "/points/delete":
            kind = models.FilterSelector if b'"filter"' in body else models.PointIdsList
            return engine.delete(name, kind.model_validate_json(body))
        case "POST", "/points/count":
            asked = given(models.CountRequest)
            return engine.count(name, count_filter=asked.get("filter"), exact=asked["exact"])
        case "POST", "/facet":
            asked = given(models.FacetRequest)
            asked["facet_filter"] = asked.pop("filter", None)
            return engine.facet(name, **asked)
        case "POST", "/points/scroll":
            asked = given(models.ScrollRequest)
            asked["scroll_filter"] = asked.pop("filter", None)
            asked["with_vectors"] = asked.pop("with_vector", False)
            points, offset = engine.scroll(name, **asked)
            return {"points": points, "next_page_offset": offset}
        case "POST", "/points/query":
            asked = given(models.QueryRequest)
            asked["query_filter"] = asked.pop("filter", None)
            asked["search_params"] = asked.pop("params", None)
            asked["with_vectors"] = asked.pop("with_vector", False)
            return engine.query_points(name, **asked)
        case _:
            raise ValueError(f"{method} {path} not found")


def _json(value: object) -> object:
    assert isinstance(value, BaseModel), value
    return value.model_dump(mode="json")


def _status(text: str) -> bytes:
    return json.dumps({"status": {"error": text}, "time": 0.0}).encode()
