"""The boundary: arguments are checked, and errors become words for a model, once and here.

Inside, tools take checked arguments and raise KeenkiteError. What leaves is either an answer or
one text that says what was wrong and what to do next. No path, address or secret of the host is
in it, and nothing of an exception that nobody foresaw.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ConfigDict, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from keenkite.errors import KeenkiteError

from .arguments import COLLECTION, JOB_ID, REGION, SOME_TEXT, TILE_ID
from .settings import ServerSettings

logger = logging.getLogger(__name__)

MAX_ERROR = 1500
"""Characters of an error text: enough for a few mistakes at once, no flood."""


class Scrubber:
    """Takes what belongs to the host out of a text."""

    def __init__(self, settings: ServerSettings) -> None:
        names: list[tuple[str, str]] = []
        for value, word, is_path in (
            (settings.qdrant_api_key, "the key", False),
            (settings.weights, "the weights file", True),
            (settings.files, "the data folder", True),
            (settings.data, "the index server", False) if settings.by_url else (None, "", False),
            (settings.catalog, "the catalog", True),
            (settings.model if os.sep in (settings.model or "") else None, "the model", True),
        ):
            if value:
                names.append((str(value), word))
                if is_path:
                    names.append((os.path.abspath(value), word))  # noqa: PTH100  (a str, and no Path)
        # The longest first: a weights file may lie in the data folder. What follows a name, such
        # as the rest of a path, goes with it.
        names.sort(key=lambda pair: -len(pair[0]))
        self._names = [(re.compile(re.escape(name) + _REST), word) for name, word in names]

    def __call__(self, text: str) -> str:
        """The text without paths, addresses and secrets; on lines a terminal can show."""
        for name, word in self._names:
            text = name.sub(word, text)
        text = _URL.sub("an address", text)
        text = _PATH.sub("a file", text)
        text = text.encode("utf-8", "backslashreplace").decode()  # JSON may hold half a surrogate
        return text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…"


_REST = r"(?:[/\\?][^\s'\"<>:,;()]*)?"
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>),;]+", re.IGNORECASE)
# Two parts at least, so that "and/or" and "tiles/s" stay; a drive letter counts as one.
_PATH = re.compile(r"(?<![\w/.:])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'\"<>:,;()]+){2,}[/\\]?")


class StrictTool(Tool):
    """A tool that refuses arguments it does not know, and speaks plainly of its errors."""

    _scrub: Callable[[str], str] = PrivateAttr()

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """See `Tool.run`; errors are translated."""
        try:
            return await super().run(arguments, context, convert_result)
        except UnexpectedToolError as error:
            cause = error.__cause__
            if isinstance(cause, KeenkiteError):
                raise ToolError(self._scrub(f"{self.name}: {cause}")) from cause
            raise UnexpectedToolError(
                f"{self.name} failed inside the server; its log says why. Other calls still work."
            ) from cause
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                text = _explain(error.__cause__, arguments, self.parameters)
                raise ToolError(self._scrub(f"{self.name}: {text}")) from error.__cause__
            raise


def strict_tool(
    function: Callable[..., Any],
    *,
    title: str,
    scrub: Callable[[str], str],
    read_only: bool = True,
    destructive: bool = False,
    idempotent: bool = True,
    open_world: bool = False,
) -> StrictTool:
    """A function as a tool: its name and docstring are what clients see."""
    tool = StrictTool.from_function(
        function,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        annotations=ToolAnnotations(
            title=title,
            read_only_hint=read_only,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=open_world,
        ),
    )
    assert isinstance(tool, StrictTool)
    tool._scrub = scrub
    loose = tool.fn_metadata.arg_model
    strict: type[ArgModelBase] = type(
        loose.__name__, (loose,), {"model_config": ConfigDict(extra="forbid")}
    )
    tool.fn_metadata.arg_model = strict
    tool.parameters = _slim(strict.model_json_schema(by_alias=True))
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = _slim(tool.fn_metadata.output_schema)
    return tool


def said(text: str, structure: dict[str, Any] | None = None) -> CallToolResult:
    """An answer: the text has every fact, for clients that show the model only one of the two."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return CallToolResult(
        content=[TextContent(type="text", text=clean)], structured_content=structure
    )


def _slim(schema: Any) -> Any:
    """A JSON schema without what pydantic adds for forms: titles, and null where absent will do."""
    if isinstance(schema, list):
        return [_slim(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    slim: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            slim[key] = {name: _slim(part) for name, part in value.items()}
        elif not (key == "title" and isinstance(value, str)):
            slim[key] = _slim(value)
    if slim.get("default", ...) is None:
        del slim["default"]
        if "anyOf" in slim:
            rest = [choice for choice in slim.pop("anyOf") if choice != {"type": "null"}]
            slim = {**rest[0], **slim} if len(rest) == 1 else {"anyOf": rest, **slim}
    return slim


def _explain(error: ValidationError, given: dict[str, Any], schema: dict[str, Any]) -> str:
    """Every mistake in one sentence each, and the arguments the tool has."""
    known = list(schema.get("properties", {}))
    mistakes = [_mistake(detail, known) for detail in error.errors(include_url=False)]
    listed = "; ".join(dict.fromkeys(mistakes[:5]))
    more = f"; and {len(mistakes) - 5} more" if len(mistakes) > 5 else ""
    required = [name for name in schema.get("required", []) if name not in given]
    missing = f" It needs {', '.join(required)}." if required else ""
    end = "" if f"{listed}{more}".endswith("?") else "."
    return f"{listed}{more}{end}{missing} Arguments: {', '.join(known)}."


_FORMS = {
    TILE_ID: "a tile id has the form 32654-2240-345-3550-20240512T012345-S2B, from an answer",
    JOB_ID: "a job id has the form build-0123456789ab and comes from build_index",
    REGION: "a region's name has up to 63 letters, digits, spaces, dots and dashes",
    COLLECTION: "a collection's name has letters, digits, dots and dashes; see list_indexes",
    SOME_TEXT: "a text is expected",
}
"""Pattern of an argument -> what to say instead of it."""


def _mistake(detail: ErrorDetails, known: list[str]) -> str:
    place = ".".join(str(part) for part in detail["loc"])[:80]
    value = detail["input"]
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near and len(detail["loc"]) == 1 else ""
        return f"there is no argument {place!r}{hint}"
    if detail["type"] == "missing":
        return f"{place!r} is missing"
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    if detail["type"] == "string_pattern_mismatch":
        message = _FORMS[detail["ctx"]["pattern"]]
    if isinstance(value, str) and len(value) > 60:
        shown = f"{len(value):,} characters"
    else:
        shown = ascii(value)
        shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return f"{place!r}: {message[0].lower()}{message[1:]}, not {shown}"
