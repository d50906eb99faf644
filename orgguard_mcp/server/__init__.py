"""The MCP server: two tools, over stdio or HTTP. The only modules that import mcp.

`app` is what clients see, `tools` what the tools do, `asking` how the human is waited for. `stdio`
serves one client of one repository, `http` many of many.
"""
