// npm oidc-provider as the authorization server of an MCP server, for `interop/run mcp`: anybody may register a client and sign in by any name.
//
//     node provider.mjs      # prints `ready ISSUER`, and ends when stdin does
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const SCOPES = 'tools:call tools:admin';
const key = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
let answer;
// The SDKs register for the scope of the first challenge, and the provider holds a client to what it registered for: no step-up would succeed. So a client registers here
// for every scope.
async function registered(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { scope, ...metadata } = JSON.parse(Buffer.concat(chunks));
    request.body = metadata;
}
const server = http.createServer(async (request, response) => {
    if (request.method === 'POST' && request.url === '/reg') await registered(request);
    answer(request, response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
answer = new Provider(issuer, {
    clientDefaults: { id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'none' },
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    features: {
        registration: { enabled: true },
        resourceIndicators: {
            enabled: true,
            getResourceServerInfo: (_ctx, audience) => ({ audience, scope: SCOPES, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
            useGrantedResource: () => true,
        },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    jwks: { keys: [{ ...key, alg: 'ES256', use: 'sig', kid: 'k' }] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
}).callback();
console.log(`ready ${issuer}`);
process.stdin.on('end', () => process.exit(0)).resume();
