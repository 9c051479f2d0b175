"""One reader of the environment for every dataclass of settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from keenkite.errors import InputError
from keenkite.settings import Settings, ca_bundle, parse, read_environment


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = Path("here")
    way: Literal["stdio", "http"] = "stdio"
    port: int = 8000
    share: float | None = None
    quiet: bool = False
    names: tuple[str, ...] = ()
    spans: tuple[float, ...] | None = None
    worked_out: int = field(default=1, init=False)


def test_each_field_is_read_by_its_type() -> None:
    options = read_environment(
        Options,
        {
            "KEENKITE_DATA": "~/tiles",
            "KEENKITE_WAY": "http",
            "KEENKITE_PORT": " 80 ",
            "KEENKITE_SHARE": "0.5",
            "KEENKITE_QUIET": "Yes",
            "KEENKITE_NAMES": "a, b,,c",
            "KEENKITE_SPANS": "1120,2240",
            "KEENKITE_WORKED_OUT": "7",
            "DATA": "other",
        },
    )
    assert options == Options(
        data=Path.home() / "tiles",
        way="http",
        port=80,
        share=0.5,
        quiet=True,
        names=("a", "b", "c"),
        spans=(1120, 2240),
    )


def test_what_is_not_set_or_empty_is_as_the_dataclass_says() -> None:
    assert read_environment(Options, {"KEENKITE_PORT": "", "PATH": "/bin"}) == Options()


def test_what_is_given_goes_before_the_environment() -> None:
    broken = {"KEENKITE_PORT": "many", "KEENKITE_QUIET": "1"}
    assert read_environment(Options, broken, port=1) == Options(port=1, quiet=True)


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("PORT", "many", "KEENKITE_PORT is a whole number, not 'many'"),
        ("SHARE", "half", "KEENKITE_SHARE is a number, not 'half'"),
        ("QUIET", "maybe", "KEENKITE_QUIET is true or false, not 'maybe'"),
        ("WAY", "pipe", "KEENKITE_WAY is stdio or http, not 'pipe'"),
        ("SPANS", "1120,wide", "KEENKITE_SPANS is a number, not 'wide'"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(variable: str, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_environment(Options, {f"KEENKITE_{variable}": text})


def test_a_flag_is_read_by_the_same_rule() -> None:
    assert parse(Options, "spans", "1120") == (1120,)
    with pytest.raises(InputError, match="--port is a whole number"):
        parse(Options, "port", "many")


def test_the_index_is_another_word_for_the_data() -> None:
    assert Settings.from_environment({"KEENKITE_INDEX": "one"}).data == "one"
    both = {"KEENKITE_INDEX": "one", "KEENKITE_DATA": "two"}
    assert Settings.from_environment(both).data == "two"
    with pytest.raises(InputError, match="KEENKITE_OLD is a whole number"):
        read_environment(Options, {"KEENKITE_OLD": "x"}, aliases={"KEENKITE_OLD": "port"})


def test_the_secret_is_not_shown() -> None:
    settings = Settings.from_environment({"KEENKITE_QDRANT_API_KEY": "hush"})
    assert settings.qdrant_api_key == "hush"
    assert "hush" not in repr(settings)


def test_certificates_are_those_that_other_tools_are_told_of() -> None:
    assert ca_bundle({}) is None
    assert ca_bundle({"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/certs"}) == "/certs"
    both = {"SSL_CERT_FILE": "/system.pem", "REQUESTS_CA_BUNDLE": "/own.pem"}
    assert ca_bundle(both) == "/own.pem"


def test_reading_from_s3_is_off_until_somebody_allows_it() -> None:
    assert not Settings.from_environment({}).allow_s3
    assert Settings.from_environment({"KEENKITE_ALLOW_S3": "1"}).allow_s3
