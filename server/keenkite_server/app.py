"""The MCP server: tools, resources and prompts around one library."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from keenkite import __version__

from .build_tools import BuildTools
from .builder import Builder
from .index_tools import IndexTools
from .library import Library
from .picture_tools import PictureTools
from .prompts import INSTRUCTIONS, add_prompts
from .resources import add_resources
from .search_tools import SearchTools
from .tasks import BuildTasks


def make_server(library: Library, builder: Builder) -> MCPServer:
    """A server over these, by the library's settings; the caller closes both.

    Raises:
        InputError: the settings of authentication cannot be used.
    """
    settings = library.settings
    tools = SearchTools(library).tools()
    tools += PictureTools(library).tools()
    tools += IndexTools(library).tools()
    if not settings.read_only:
        tools += BuildTools(builder).tools()
    auth = verifier = None
    if settings.transport == "http" and settings.authenticated:
        from .auth import auth_of

        auth, verifier = auth_of(settings)
    server: MCPServer = MCPServer(
        name="keenkite",
        title="keenkite: satellite image search",
        description="Search Sentinel-2 satellite imagery in plain words",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=tools,
        extensions=[BuildTasks(library)],
        auth=auth,
        token_verifier=verifier,
        log_level="WARNING",
    )
    add_resources(server, library)
    add_prompts(server)
    return server
