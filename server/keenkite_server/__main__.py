"""`python -m keenkite_server` is `keenkite-mcp`."""

import sys

from .cli import main

sys.exit(main())
