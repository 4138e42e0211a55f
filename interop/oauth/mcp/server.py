"""An MCP server of PyPI mcp, whose tool the project's agent calls.

    ISSUER=… AUDIENCE=… SCOPE=… python3 server.py      # prints `ready URL`, and ends when stdin does

It accepts JWT access tokens of the issuer with the scope SCOPE, whose `aud` is its own URL, or AUDIENCE
if that is set. The tool `who` tells the scopes of the token.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import urllib.request

import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

ISSUER, SCOPE = os.environ["ISSUER"], os.environ["SCOPE"]
with urllib.request.urlopen(f"{ISSUER}/.well-known/openid-configuration") as answer:
    KEYS = jwt.PyJWKClient(json.load(answer)["jwks_uri"])

listener = socket.create_server(("127.0.0.1", 0))
URL = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


class Verifier:
    async def verify_token(self, token):
        return await asyncio.to_thread(self.verified, token)

    def verified(self, token):
        try:
            key = KEYS.get_signing_key_from_jwt(token)
            audiences = [URL, os.environ.get("AUDIENCE") or URL]
            claims = jwt.decode(token, key, ["ES256", "RS256"], issuer=ISSUER, audience=audiences)
        except jwt.PyJWTError:
            return None
        client = claims.get("client_id") or claims["azp"]
        return AccessToken(
            token=token, client_id=client, scopes=claims["scope"].split(), expires_at=claims["exp"],
            resource=URL, subject=claims["sub"],
        )


server = MCPServer(
    "interop",
    token_verifier=Verifier(),
    auth=AuthSettings(
        issuer_url=ISSUER, resource_server_url=URL, required_scopes=[SCOPE], validate_token_resource=True
    ),
    log_level="ERROR",
)


@server.tool()
def who() -> str:
    """tells the scopes of the token"""
    return " ".join(get_access_token().scopes)


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
app = server.streamable_http_app(stateless_http=True, json_response=True)
print(f"ready {URL}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
