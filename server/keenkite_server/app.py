"""The MCP server: tools, resources and prompts around one workspace."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from keenkite import __version__

from .build_tools import BuildTools
from .index_tools import IndexTools
from .picture_tools import PictureTools
from .prompts import INSTRUCTIONS, add_prompts
from .resources import add_resources
from .search_tools import SearchTools
from .settings import ServerSettings
from .tasks import BuildTasks
from .library import Workspace


def make_server(settings: ServerSettings, workspace: Workspace | None = None) -> MCPServer:
    """A server for these settings; the caller closes the workspace.

    Raises:
        InputError: the settings of authentication cannot be used.
    """
    workspace = workspace or Workspace(settings)
    tools = SearchTools(workspace).tools()
    tools += PictureTools(workspace).tools()
    tools += IndexTools(workspace).tools()
    if not settings.read_only:
        tools += BuildTools(workspace).tools()
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
        extensions=[BuildTasks(workspace)],
        auth=auth,
        token_verifier=verifier,
        log_level="WARNING",
    )
    add_resources(server, workspace)
    add_prompts(server)
    return server
