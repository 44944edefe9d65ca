"""Starts an MCP server by the official SDK, shares the session in which it is, looks at the link, and unshares it."""

import asyncio
import json
import re
import sys
import urllib.request

from mcp import ClientSession, StdioServerParameters, stdio_client


async def main():
    command, *args = sys.argv[1:]
    async with stdio_client(StdioServerParameters(command=command, args=args)) as (reads, writes):
        async with ClientSession(reads, writes) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            shared = (await session.call_tool("share_session", {})).content[0].text
            url = re.search(r"http:\S+", shared).group()
            with urllib.request.urlopen(f"{url}.md") as page:
                page = page.read().decode()
            unshared = (await session.call_tool("unshare_session", {})).content[0].text
    print(json.dumps({"tools": tools, "shared": {"text": shared, "page": page}, "unshared": unshared}))


asyncio.run(main())
