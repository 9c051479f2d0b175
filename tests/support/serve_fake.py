"""keenkite-mcp with FakeEncoder, for tests: the same flags and variables.

KEENKITE_TEST_SLOW is how many seconds it takes for a batch of pictures.
"""

import os
import sys

from keenkite_server.cli import settings_of
from keenkite_server.library import Workspace
from keenkite_server.transport import serve

if __name__ == "__main__":
    from tests.support.server_encoder import SlowEncoder

    settings = settings_of(sys.argv[1:])
    slow = float(os.environ.get("KEENKITE_TEST_SLOW", "0"))
    serve(settings, Workspace(settings, load_encoder=lambda progress: SlowEncoder(slow)))
