"""`python -m orgguard_mcp`."""

import sys

from orgguard_mcp.cli import main

sys.exit(main())
