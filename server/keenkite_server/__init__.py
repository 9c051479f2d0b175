"""The MCP server over keenkite."""
