"""The client of PyPI mcp, which knows the URL of an MCP server and nothing else.

    MCP=http://…/mcp NODE=node BROWSER=browser.mjs [FORECAST=text] python3 client.py

FORECAST is what the tool that calls on must answer; the client's identifier is left out of it.
"""

import asyncio
import json
import os
import subprocess
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import ClientSession
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

MCP = os.environ["MCP"]
FORECAST = os.environ.get("FORECAST")
REDIRECT = "http://127.0.0.1:9/callback"  # nothing listens there: the browser stops before it


def row(step, expected, seen):
    print(json.dumps({"step": step, "expected": expected, "seen": str(seen)}), flush=True)


class Kept:
    """The state that every program keeps for the SDK."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


asked = []


async def redirect(url):
    asked.append(parse_qs(urlsplit(url).query) | {"url": url})


async def callback():
    command = [os.environ["NODE"], os.environ["BROWSER"], asked[-1]["url"], REDIRECT]
    browser = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await browser.communicate()
    back = parse_qs(urlsplit(out.decode().strip()).query)
    code, state, iss = (back.get(name, [None])[0] for name in ("code", "state", "iss"))
    return AuthorizationCodeResult(code=code, state=state, iss=iss)


def said(answer):
    return "error" if getattr(answer, "is_error", None) or getattr(answer, "isError", None) else " ".join(it.text for it in answer.content)


async def main():
    print(json.dumps({"part": f"PyPI mcp, which knows only the URL; {os.environ['AT']}"}), flush=True)
    kept = Kept()
    metadata = OAuthClientMetadata(client_name="interop", redirect_uris=[REDIRECT], token_endpoint_auth_method="none")
    provider = OAuthClientProvider(MCP, metadata, kept, redirect, callback)
    await steps(provider, kept)


async def steps(provider, kept):
    async with httpx2.AsyncClient(auth=provider, timeout=20) as http:
        async with streamable_http_client(MCP, http_client=http) as streams:
            async with ClientSession(*streams[:2]) as session:
                await session.initialize()
                row("it registered itself", "True", bool(kept.client.client_id))
                row("it asks with PKCE", "S256", asked[0]["code_challenge_method"][0])
                row("for this server", MCP, asked[0]["resource"][0])
                row("with the scope of the challenge", "tools:call", asked[0]["scope"][0])
                names = " ".join(sorted(it.name for it in (await session.list_tools()).tools))
                row("it lists the tools", "forecast reset who", names)
                row("it calls a tool", "alice", said(await session.call_tool("who", {})))
                if FORECAST:
                    told = said(await session.call_tool("forecast", {}))
                    row("it calls a tool that calls on", FORECAST, told.replace(kept.client.client_id, "the client"))
                before = len(asked)
                row("it steps up, and calls another tool", "reset by alice", said(await session.call_tool("reset", {})))
                row("it asked once more, for more", "True", len(asked) > before and "tools:admin" in asked[-1]["scope"][0])


asyncio.run(main())
