"""Who may use a server over HTTP: bearer tokens of a file, or JWTs of an issuer."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import anyio
import jwt
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl

from keenkite.errors import InputError

from .settings import ServerSettings

logger = logging.getLogger(__name__)

SHORTEST = 20
"""Characters of a token: fewer could be guessed."""

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Asymmetric ones only: with HS256 a public key would sign."""


def auth_of(settings: ServerSettings) -> tuple[AuthSettings, TokenVerifier]:
    """How to check the clients of a server that has a token file or a JWT issuer.

    Raises:
        InputError: the token file or the key cannot be used.
    """
    if settings.jwt_issuer:
        return _jwt_settings(settings), JwtVerifier(settings)
    assert settings.token_file is not None
    # A resource server names an issuer; tokens of a file have none but this server itself.
    here = AnyHttpUrl(f"http://{_bracketed(settings.host or 'localhost')}:{settings.port}")
    auth = AuthSettings(issuer_url=here, resource_server_url=None)
    return auth, FileTokens(settings.token_file)


class FileTokens:
    """The tokens of a file: one a line, a name before it where one is wanted, # for comments."""

    def __init__(self, path: Path) -> None:
        """Read it once.

        Raises:
            InputError: it cannot be read, has no token, or has one that is too short.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
            shared = path.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The token file {path} cannot be read: {error}.") from error
        if shared:
            logger.warning("Other users of this machine can read %s: chmod 600 it", path)
        self._names: dict[bytes, str] = {}
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) > 2 or len(words[-1]) < SHORTEST:
                raise InputError(
                    f"Line {number} of the token file {path} is not a token of {SHORTEST} "
                    "characters or more, with a name before it if you like."
                )
            name = words[0] if len(words) == 2 else f"token-{number}"
            self._names[_digest(words[-1])] = name
        if not self._names:
            raise InputError(f"The token file {path} has no token in it.")

    async def verify_token(self, token: str) -> AccessToken | None:
        """See `TokenVerifier`."""
        # Looked up by digest: how long that takes says nothing about the tokens.
        name = self._names.get(_digest(token))
        return AccessToken(token=token, client_id=name, scopes=[]) if name else None


class JwtVerifier:
    """JWTs of one issuer, for one audience, with an end."""

    def __init__(self, settings: ServerSettings) -> None:
        """Read the key, if it is a file.

        Raises:
            InputError: it cannot be read.
        """
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        keys = settings.jwt_keys or ""
        self._jwks: jwt.PyJWKClient | None = None
        self._key: Any = None
        if keys.startswith(("http://", "https://")):
            self._jwks = jwt.PyJWKClient(keys, cache_keys=True, timeout=10)
            return
        try:
            self._key = Path(keys).expanduser().read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The JWT key {keys} cannot be read: {error}.") from error

    async def verify_token(self, token: str) -> AccessToken | None:
        """See `TokenVerifier`."""
        try:
            claims = await anyio.to_thread.run_sync(self._claims, token)
        except jwt.PyJWTError as error:
            logger.info("A token was refused: %s", type(error).__name__)
            return None
        scope = claims.get("scope", "")
        return AccessToken(
            token=token,
            client_id=str(claims.get("client_id") or claims.get("azp") or claims.get("sub") or "?"),
            scopes=scope.split() if isinstance(scope, str) else [],
            expires_at=int(claims["exp"]),
            resource=self._audience,
            subject=claims.get("sub"),
            claims=claims,
        )

    def _claims(self, token: str) -> dict[str, Any]:
        key = self._jwks.get_signing_key_from_jwt(token).key if self._jwks else self._key
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=self._audience,
            issuer=self._issuer,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims


def _jwt_settings(settings: ServerSettings) -> AuthSettings:
    audience = settings.jwt_audience or ""
    is_url = audience.startswith(("http://", "https://"))
    return AuthSettings(
        issuer_url=AnyHttpUrl(settings.jwt_issuer or ""),
        resource_server_url=AnyHttpUrl(audience) if is_url else None,
        validate_token_resource=is_url,
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
