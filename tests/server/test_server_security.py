"""Who may reach a server, what it gives away of its host, and what its operator decides."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from keenkite.errors import InputError
from keenkite_server.auth import FileTokens, JwtVerifier
from keenkite_server.boundary import Scrubber
from keenkite_server.cli import main, settings_of
from keenkite_server.settings import ServerSettings
from keenkite_server.transport import say_where, transport_security
from tests.support.paths import ROOT
from tests.support.server_world import (
    HELLO,
    ask,
    demo,
    http,
    refused,
    serving,
    talk,
    text_of,
)

TOKEN = "a-token-of-more-than-twenty-characters"
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def post(url: str, **headers: str) -> int:
    reply = httpx2.post(url, json=INITIALIZE, headers={**HEADERS, **headers}, timeout=30)
    return int(reply.status_code)


# --- tokens -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that wants a token."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"# who may come in\nalice {TOKEN}\n")
    tokens.chmod(0o600)
    with http(demo().environment(), "--token-file", str(tokens)) as url:
        yield url


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_with_a_token_is_served(guarded: str, mode: str) -> None:
    async def main() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http_client:
            transport = streamable_http_client(guarded, http_client=http_client)
            async with Client(transport, mode=mode) as client:
                found = await ask(client, "search_tiles", text="water")
                assert found.structured_content["hits"]
                await refused(client, "search_tiles", {"text": "water", "bbbox": []})

    anyio.run(main)


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_without_the_token_nobody_is_served(guarded: str, header: str | None) -> None:
    assert post(guarded, **({"authorization": header} if header else {})) == 401


def test_a_client_of_the_sdk_is_turned_away_without_a_token(guarded: str) -> None:
    async def story(client: Client) -> None:
        await client.list_tools()

    with pytest.raises((ExceptionGroup, MCPError, httpx2.HTTPError)):
        talk(story, guarded)


@pytest.mark.parametrize("text", ["", "# nothing\n", "short\n", "a b c\n"])
def test_a_token_file_without_a_good_token_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError, match="token file"):
        FileTokens(path)


def test_a_token_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        FileTokens(tmp_path / "none")


# --- JWT --------------------------------------------------------------------------------------

ISSUER, AUDIENCE = "https://issuer.example.org", "https://maps.example.org/mcp"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def verifier(key: rsa.RSAPrivateKey, tmp_path: Path) -> JwtVerifier:
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return JwtVerifier(ServerSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_keys=str(path)))


def signed(key: Any, algorithm: str = "RS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 60, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)


def test_a_jwt_of_the_issuer_names_its_holder(
    verifier: JwtVerifier, key: rsa.RSAPrivateKey
) -> None:
    found = anyio.run(verifier.verify_token, signed(key, scope="read build"))
    assert found is not None
    assert (found.subject, found.scopes, found.resource) == ("alice", ["read", "build"], AUDIENCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example.org"},
        {"aud": "https://other.example.org"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 9_999_999_999},
    ],
)
def test_a_jwt_for_others_or_without_an_end_is_refused(
    verifier: JwtVerifier, key: rsa.RSAPrivateKey, changes: dict[str, Any]
) -> None:
    assert anyio.run(verifier.verify_token, signed(key, **changes)) is None


def test_a_jwt_of_another_key_or_none_is_refused(
    verifier: JwtVerifier, key: rsa.RSAPrivateKey
) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert anyio.run(verifier.verify_token, signed(other)) is None
    assert anyio.run(verifier.verify_token, signed("", "none")) is None
    assert anyio.run(verifier.verify_token, signed("x" * 32, "HS256")) is None
    assert anyio.run(verifier.verify_token, "not.a.jwt") is None


# --- names and addresses ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[str]:
    """The URL of a server that listens on every address, by an explicit word of its operator."""
    flags = ("--host", "0.0.0.0", "--allow-anonymous", "--allowed-hosts", "maps.example.org")
    with http(demo().environment(), *flags) as url:
        yield url


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "maps.example.org"}, 200),
        ({"host": "maps.example.org:443", "origin": "https://maps.example.org"}, 200),
        ({"host": "evil.example.org"}, 421),
        ({"host": "maps.example.org.evil.org"}, 421),
        ({"origin": "https://evil.example.org"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_host_and_origin_are_checked_on_any_address(
    open_to_all: str, headers: dict[str, str], status: int
) -> None:
    assert post(open_to_all, **headers) == status


def test_a_body_of_many_megabytes_is_refused(open_to_all: str) -> None:
    huge = {**INITIALIZE, "params": {**HELLO, "x": "y" * 2_000_000}}
    reply = httpx2.post(open_to_all, json=huge, headers=HEADERS, timeout=30)
    assert reply.status_code == 413


def test_a_name_with_a_port_stands_for_that_port_only() -> None:
    settings = ServerSettings(transport="http", allowed_hosts=("a.org", "b.org:8443", "::1"))
    hosts = transport_security(settings).allowed_hosts
    assert {"a.org", "a.org:*", "b.org:8443", "[::1]:*"} <= set(hosts)
    assert "b.org:*" not in hosts


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--host", "0.0.0.0"], "--allow-anonymous"),
        (["--host", "192.168.1.5"], "without tokens"),
        (["--host", "0.0.0.0", "--allow-anonymous"], "--allowed-hosts"),
        (["--port", "99999"], "65535"),
        (["--port", "http"], "whole number"),
        (["--jwt-issuer", "https://a.org"], "--jwt-audience"),
        (["--max-tiles", "0"], "at least 1"),
        (["--transport", "carrier-pigeon"], "stdio or http"),
    ],
)
def test_unsafe_or_senseless_settings_are_refused_before_anything_is_served(
    flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--transport", "http", *flags]) == 1
    assert expected in capsys.readouterr().err


# --- what is given away -----------------------------------------------------------------------


def test_texts_lose_paths_addresses_and_secrets() -> None:
    scrub = Scrubber(
        ServerSettings(
            folder=Path("/srv/data"), catalog="https://stac.internal/v1",
            data="https://qdrant.internal:6333/tiles", qdrant_api_key="s3cret",
            model="/models/secret.pt",
        )
    )  # fmt: skip
    text = scrub(
        "Cannot write /srv/data/records/x.json: see https://stac.internal/v1/search, "
        "https://qdrant.internal:6333/tiles, http://10.0.0.1/x?key=1, /models/secret.pt, s3cret "
        "and C:\\Users\\me; tiles/s and and/or stay, [139.7, 35.5]; 50 km² too"
    )
    for leak in ("/srv", "internal", "10.0.0.1", "/models", "s3cret", "Users", "records"):
        assert leak not in text
    for kept in ("the data folder", "the catalog", "tiles/s and and/or stay", "[139.7, 35.5]"):
        assert kept in text


def test_pixels_that_are_gone_are_told_without_their_place(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(demo().data, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "pixels")

    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", limit=1)
        tile_id = found.structured_content["hits"][0]["tile_id"]
        text = await refused(client, "get_tile_image", {"tile_ids": [tile_id]})
        assert str(tmp_path) not in text

    with serving(demo().settings(tmp_path / "data")) as server:
        talk(story, server)


def test_a_scenes_address_is_given_for_public_catalogs_without_its_password(
    tmp_path: Path,
) -> None:
    async def story(client: Client) -> None:
        found = await ask(client, "search_tiles", text="water", limit=1, response_format="detailed")
        (hit,) = found.structured_content["hits"]
        assert hit["scene_url"] == (
            "https://stac.example.org/v1/collections/sentinel-2-c1-l2a/items/" + hit["scene_ids"][0]
        )
        assert hit["scene_url"] in text_of(found)

    settings = ServerSettings(data=str(demo().data), catalog="https://me:pw@stac.example.org/v1/")
    with serving(settings) as server:
        talk(story, server)


# --- what the operator decides ----------------------------------------------------------------


def test_a_read_only_server_has_no_building_tools() -> None:
    async def story(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "search_tiles" in names
        assert not names & {"build_index", "cancel_build"}
        assert "Unknown tool" in await refused(client, "build_index", demo().build)

    with serving(demo().settings(read_only=True)) as server:
        talk(story, server)


def test_flags_win_over_variables_and_variables_over_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DATA", "COLLECTION", "MODEL", "READ_ONLY", "INDEX", "CATALOG"):
        monkeypatch.delenv(f"KEENKITE_{name}", raising=False)
    assert settings_of([]) == ServerSettings()
    monkeypatch.setenv("KEENKITE_MODEL", "from-variable")
    monkeypatch.setenv("KEENKITE_READ_ONLY", "yes")
    monkeypatch.setenv("KEENKITE_INDEX", "shared-with-the-command-line")
    monkeypatch.setenv("KEENKITE_STAC_COLLECTION", "one, two")
    settings = settings_of(["--model", "from-flag", "--max-tiles", "7", "--collection", "c"])
    assert settings.model == "from-flag"
    assert settings.read_only
    assert settings.max_tiles == 7
    assert settings.collection == "c"
    assert settings.stac_collection == ("one", "two")
    assert settings.files == Path("shared-with-the-command-line")
    assert settings_of(["--index", "by-its-other-name"]).data == "by-its-other-name"


def test_data_by_url_keep_their_pixels_and_jobs_in_a_folder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    by_url = settings_of(["--data", "https://qdrant.example.org:6333"])
    say_where(by_url)
    assert str(Path("keenkite-data").absolute()) in caplog.text
    assert "--folder" in caplog.text
    caplog.clear()
    assert by_url.place == "https://qdrant.example.org:6333"
    assert by_url.files == Path("keenkite-data")
    named = settings_of(["--data", "https://qdrant.example.org:6333", "--folder", "/srv/pixels"])
    assert named.files == Path("/srv/pixels")
    say_where(named)
    say_where(settings_of(["--data", "a-folder"]))
    assert caplog.text == ""
    with pytest.raises(InputError, match="Leave --folder out"):
        settings_of(["--data", "a-folder", "--folder", "/srv/pixels"])


def test_the_key_of_the_index_server_is_never_shown() -> None:
    assert "s3cret" not in repr(ServerSettings(qdrant_api_key="s3cret"))


def test_a_server_starts_and_lists_its_tools_without_the_model(tmp_path: Path) -> None:
    """torch takes seconds to import: nothing before the first search may wait for it."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from keenkite_server import app, builder, library, settings\n"
        "shelves = library.Library(settings.ServerSettings())\n"
        "app.make_server(shelves, builder.Builder(shelves))\n"
        "print([m for m in ('torch', 'open_clip', 'rasterio', 'qdrant_client', 'scipy', 'PIL')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_document_names_every_flag_and_its_snippets_are_json() -> None:
    from dataclasses import fields

    document = (ROOT / "docs" / "server.md").read_text()
    for option in fields(ServerSettings):
        if option.metadata:
            assert f"`--{option.name.replace('_', '-')}`" in document
    for snippet in re.findall(r"```json\n(.*?)```", document, re.DOTALL):
        servers = json.loads(snippet)
        (server,) = (servers.get("mcpServers") or servers["servers"]).values()
        flags = server["args"][server["args"].index("keenkite-mcp") + 1 :]
        settings_of(flags)
