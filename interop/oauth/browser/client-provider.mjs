// npm oidc-provider as the authorization server of the project's own client and of an MCP server, for `interop/run client`.
//
//     CLIENT_JWKS='{"keys":[…]}' DOCUMENTS=URL node client-provider.mjs      # prints `ready ISSUER`, and ends when stdin does
//
// Anybody may register a client, point at a metadata document, and sign in by any name. The user of CIBA allows as alice, denies as mallory, and else never answers. Every DPoP
// proof needs a nonce.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider, errors } from 'oidc-provider';

const CIBA = 'urn:openid:params:grant-type:ciba';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const SCOPES = 'tools:call tools:admin';
const { CLIENT_JWKS, DOCUMENTS } = process.env;
const byKey = { token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(CLIENT_JWKS), redirect_uris: [], response_types: [] };
const clients = [
    { ...byKey, client_id: 'our-agent', grant_types: ['client_credentials'] },
    { ...byKey, client_id: 'our-bound', grant_types: ['client_credentials'], dpop_bound_access_tokens: true },
    { ...byKey, client_id: 'our-ciba', grant_types: [CIBA, 'refresh_token'], backchannel_token_delivery_mode: 'poll' },
    {
        ...byKey, client_id: 'our-pinged', grant_types: [CIBA, 'refresh_token'], backchannel_token_delivery_mode: 'ping',
        backchannel_client_notification_endpoint: 'https://agent.interop.test/ping',
    },
    {
        client_id: 'our-app', application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token', DEVICE],
        authorization_details_types: ['tool_call'],
    },
];
const key = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
let answer;
const server = http.createServer((request, response) => answer(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
    clients,
    clientAuthMethods: ['none', 'private_key_jwt', 'client_secret_basic'],
    clientDefaults: { id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'none' },
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    enabledJWA: { clientAuthSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256'] },
    // It fetches nothing from this machine and only by https. The document of the test's client is fetched from the test, and its pings go there.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(String(url).replace('https://agent.interop.test', DOCUMENTS), options),
    features: {
        ciba: {
            enabled: true, deliveryModes: ['poll', 'ping'],
            processLoginHint: (_ctx, hint) => hint, verifyUserCode: () => {}, validateRequestContext: () => {}, validateBindingMessage: () => {},
            triggerAuthenticationDevice: async (ctx, request, account, client) => {
                const { jti, params, resource } = request;
                setTimeout(async () => {
                    if (account.accountId === 'mallory') await provider.backchannelResult(jti, new errors.AccessDenied('the user denied'));
                    if (account.accountId !== 'alice') return;
                    const grant = new provider.Grant({ clientId: client.clientId, accountId: 'alice' });
                    grant.addOIDCScope(params.scope);
                    for (const it of [resource ?? []].flat()) grant.addResourceScope(it, params.scope);
                    await grant.save();
                    await provider.backchannelResult(jti, grant);
                }, 500);
            },
        },
        clientCredentials: { enabled: true },
        clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
        deviceFlow: { enabled: true },
        dPoP: { enabled: true, nonceSecret: crypto.randomBytes(32), requireNonce: () => true },
        pushedAuthorizationRequests: { enabled: true },
        registration: { enabled: true },
        registrationManagement: { enabled: true },
        resourceIndicators: {
            enabled: true,
            getResourceServerInfo: (_ctx, audience) => {
                if (audience.endsWith('/unknown')) throw new errors.InvalidTarget();
                return { audience, scope: SCOPES, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
            },
            useGrantedResource: () => true,
        },
        revocation: { enabled: true },
        richAuthorizationRequests: {
            enabled: true,
            types: { tool_call: { validate: (_ctx, detail) => { if (!detail.actions) throw new errors.InvalidAuthorizationDetails('no actions'); } } },
            authorizationDetailsForGrantSource: (ctx) => ctx.oidc.params.authorization_details && JSON.parse(ctx.oidc.params.authorization_details),
            authorizationDetailsForAccessToken: (_ctx, _type, source) => source?.rar,
            authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
        },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    jwks: { keys: [{ ...key, alg: 'ES256', use: 'sig', kid: 'k' }] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
});
if (process.env.DEBUG) provider.on('server_error', (_ctx, error) => console.error(error));
answer = provider.callback();
console.log(`ready ${issuer}`);
process.stdin.on('end', () => process.exit(0)).resume();
