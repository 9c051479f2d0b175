"""Items and replies in the shape of Earth Search's, and a local server that gives and records them.

The templates in `data` have every field that real items and landing pages have; the values are
made up.
"""

import copy
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyproj
import shapely
from shapely.affinity import translate

DATA = Path(__file__).parent / "data"
NOON = datetime(2024, 5, 12, 1, 37, 1, 250000, tzinfo=UTC)
"""When the item of the template was taken: noon in Japan."""

_ITEM = json.loads((DATA / "earth_search_item.json").read_text())
_LANDING = (DATA / "earth_search_landing.json").read_text()


def c1_item(
    *,
    grid: str = "54SUE",
    epsg: int = 32654,
    west: float = 300_000,
    north: float = 4_000_020,
    size: int = 10_980,
    time: datetime = NOON,
    platform: str = "S2B",
    cloud: float = 5.0,
    generated: datetime | None = None,
    data: shapely.Geometry | None = None,
) -> dict[str, Any]:
    """An item of sentinel-2-c1-l2a.

    Args:
        size: of the scene, 10 m pixels.
        generated: three hours after `time` when not given.
        data: where the scene has data, (easting, northing); all over when not given.
    """
    item: dict[str, Any] = copy.deepcopy(_ITEM)
    item["id"] = f"{platform}_T{grid}_{time:%Y%m%dT%H%M%S}_L2A"
    footprint = shapely.box(west, north - 10 * size, west + 10 * size, north)
    data = footprint if data is None else data
    item["geometry"], item["bbox"] = _geometry(data, epsg)
    item["properties"] |= {
        "platform": f"sentinel-2{platform[-1].lower()}",
        "eo:cloud_cover": cloud,
        "proj:epsg": epsg,
        # Earth Search leaves the leading zero of a zone out.
        "grid:code": f"MGRS-{grid.lstrip('0')}",
        "datetime": rfc3339(time),
        "s2:generation_time": rfc3339(generated or time + timedelta(hours=3)),
        "s2:nodata_pixel_percentage": round(100 * (1 - data.area / footprint.area), 6),
    }
    for key, asset in item["assets"].items():
        asset["href"] = f"https://pixels.example/c1/{item['id']}/{asset['href'].rpartition('/')[2]}"
        if "proj:shape" in asset:
            metres = 20 if key == "scl" else 10
            asset["proj:shape"] = [size * 10 // metres] * 2
            asset["proj:transform"] = [metres, 0, west, 0, -metres, north]
    item["links"][0]["href"] = (
        f"https://stac.example/v1/collections/{item['collection']}/items/{item['id']}"
    )
    return item


def legacy_item(**options: Any) -> dict[str, Any]:
    """An item of sentinel-2-l2a, which adds JPEG2000 twins of the assets and a sequence number."""
    item = c1_item(**options)
    platform, grid, time, level = item["id"].split("_")
    item |= {
        "id": f"{platform}_{grid[1:].lstrip('0')}_{time[:8]}_0_{level}",
        "collection": "sentinel-2-l2a",
    }
    item["properties"] |= {"s2:sequence": "0", "earthsearch:boa_offset_applied": True}
    for key in ("red", "green", "blue", "scl"):
        item["assets"][f"{key}-jp2"] = {"href": f"s3://sentinel-s2-l2a/{key}.jp2"}
    return item


def rfc3339(time: datetime) -> str:
    """As Earth Search writes it."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"


def _geometry(data: shapely.Geometry, epsg: int) -> tuple[dict[str, Any], list[float]]:
    """GeoJSON geometry and bbox, cut at ±180 as RFC 7946 asks."""
    to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    middle = 6 * (epsg % 100) - 183

    def turned(xy: Any) -> Any:
        lon, lat = to_lonlat.transform(*xy.T)
        xy[:, 0], xy[:, 1] = middle + (lon - middle + 180) % 360 - 180, lat
        return xy

    shape = shapely.transform(data, turned)
    world = shapely.box(-180, -90, 180, 90)
    pieces = [translate(shape, turn).intersection(world) for turn in (-360, 0, 360)]
    pieces = [piece for piece in pieces if piece.area > 0]
    west, south, east, north = shape.bounds
    wrapped = [(lon + 180) % 360 - 180 for lon in (west, east)]
    whole = pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces)
    return shapely.geometry.mapping(whole), [wrapped[0], south, wrapped[1], north]


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any
    """Parsed JSON, or None."""


@dataclass
class Server:
    """A local HTTP server that answers as it is told and keeps the requests."""

    url: str
    requests: list[Request] = field(default_factory=list)

    @property
    def searches(self) -> list[Request]:
        return [request for request in self.requests if request.path.endswith("/search")]


Reply = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
"""Status, body (what is not bytes is sent as JSON), and headers."""


@contextmanager
def serving(
    answer: Callable[[Request, Server], Reply], context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A server on this machine, for as long as the context is open; by https with a context."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=parts.path,
                query=parse_qs(parts.query),
                headers=dict(self.headers),
                body=json.loads(self.rfile.read(length)) if length else None,
            )
            server.requests.append(request)
            status, body, *headers = answer(request, server)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(url=f"http://127.0.0.1:{http.server_address[1]}/v1")
        if context is not None:
            http.socket = context.wrap_socket(http.socket, server_side=True)
            server.url = server.url.replace("http://127.0.0.1", "https://localhost")
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def landing(server: Server) -> dict[str, Any]:
    """Earth Search's landing page, of a server."""
    page: dict[str, Any] = json.loads(_LANDING.replace("{url}", server.url))
    return page


def replay(pages: Sequence[Sequence[Mapping[str, Any]]]) -> Callable[[Request, Server], Reply]:
    """Earth Search's replies: the landing page, and pages of items linked by POST and "next"."""

    def answer(request: Request, server: Server) -> Reply:
        if not request.path.endswith("/search"):
            return 200, landing(server)
        number = int(request.body.get("next", "0"))
        links: list[dict[str, Any]] = [
            {"rel": "root", "type": "application/json", "href": server.url}
        ]
        if number + 1 < len(pages):
            links.append(
                {
                    "rel": "next",
                    "title": "Next page of Items",
                    "method": "POST",
                    "type": "application/geo+json",
                    "href": f"{server.url}/search",
                    "merge": False,
                    "body": {**request.body, "next": str(number + 1)},
                }
            )
        matched, returned = sum(map(len, pages)), len(pages[number])
        return 200, {
            "type": "FeatureCollection",
            "stac_version": "1.0.0",
            "stac_extensions": [],
            "context": {"limit": 100, "matched": matched, "returned": returned},
            "numberMatched": matched,
            "numberReturned": returned,
            "features": list(pages[number]),
            "links": links,
        }

    return answer
