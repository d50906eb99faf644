"""What an .mcpb host starts: the server, with the arguments that the manifest gives."""

import sys

from orgguard_mcp.cli import serve

sys.exit(serve())
