// An MCP server of npm @modelcontextprotocol/sdk, whose tool the project's agent calls.
//
//     ISSUER=… AUDIENCE=… SCOPE=… node server.mjs      # prints `ready URL`, and ends when stdin does
//
// It accepts JWT access tokens of the issuer with the scope SCOPE, whose `aud` is its own URL, or AUDIENCE if that is set. The tool `who` tells the scopes of the token.
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER, AUDIENCE, SCOPE } = process.env;
const oauthMetadata = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();
const keys = createRemoteJWKSet(new URL(oauthMetadata.jwks_uri));

const app = createMcpExpressApp();
const listening = app.listen(0, '127.0.0.1');
await new Promise((resolve) => listening.once('listening', resolve));
const url = new URL(`http://127.0.0.1:${listening.address().port}/mcp`);

const verifier = {
    async verifyAccessToken(token) {
        try {
            const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: [url.href, AUDIENCE || url.href] });
            return { token, clientId: payload.client_id ?? payload.azp, scopes: payload.scope.split(' '), expiresAt: payload.exp, resource: url };
        } catch (error) {
            throw new InvalidTokenError(error.message);
        }
    },
};
const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
const guard = requireBearerAuth({ verifier, requiredScopes: [SCOPE], resourceMetadataUrl, expectedResource: url });
app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: url, scopesSupported: [SCOPE] }));
app.post('/mcp', guard, async (request, response) => {
    const server = new McpServer({ name: 'interop', version: '1' });
    server.registerTool('who', { description: 'tells the scopes of the token' }, ({ authInfo }) => ({ content: [{ type: 'text', text: authInfo.scopes.join(' ') }] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on('close', () => { transport.close(); server.close(); });
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
});
console.log(`ready ${url.href}`);
process.stdin.on('end', () => process.exit(0)).resume();
