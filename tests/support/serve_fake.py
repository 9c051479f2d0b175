"""keenkite-mcp with FakeEncoder, for tests: the same flags and variables.

KEENKITE_TEST_SLOW is how many seconds it takes for a batch of pictures.
"""

import os
import sys

from keenkite_server.cli import settings_of
from keenkite_server.library import Library
from keenkite_server.transport import serve

if __name__ == "__main__":
    from tests.support.server_encoder import FakeModels

    settings = settings_of(sys.argv[1:])
    models = FakeModels(slow=float(os.environ.get("KEENKITE_TEST_SLOW", "0")), named=settings.model)
    serve(settings, Library(settings, source=models))
