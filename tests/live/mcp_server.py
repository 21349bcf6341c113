"""A server of tools as the protocol's own package makes it, over both transports.

``python -m tests.live.mcp_server PORT PORT``: streamable HTTP and the older HTTP with SSE.
"""

import sys

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from pydantic import BaseModel

PNG = b"\x89PNG\r\n\x1a\n"
SERVER = MCPServer("Harbour office")


class Ship(BaseModel):
    """A ship in the harbour."""

    name: str
    length_m: float = 10.0


@SERVER.tool()
def moor(ships: list[Ship], berth: int = 1) -> dict[str, str]:
    """Moors ships at a berth."""
    return {"moored": f"{', '.join(ship.name for ship in ships)} at {berth}"}


@SERVER.tool()
def chart() -> Image:
    """Draws a chart."""
    return Image(data=PNG, format="png")


@SERVER.tool()
def sink() -> str:
    """Fails."""
    raise ValueError("no ship sinks here")


@SERVER.tool()
async def sail(ctx: Context, legs: int) -> str:
    """Takes a tenth of a second for each leg, and tells of it."""
    for leg in range(legs):
        await ctx.report_progress(leg, legs)
        await anyio.sleep(0.1)
    return "arrived"


async def main(streamable_port: int, older_port: int) -> None:
    """Serve over both."""
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: SERVER.run_streamable_http_async(port=streamable_port))
        group.start_soon(lambda: SERVER.run_sse_async(port=older_port))


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), int(sys.argv[2]))
