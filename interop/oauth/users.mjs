// npm oidc-provider with users, for `interop/run users`: every proof needs a nonce, every refresh token is used once, and clients register themselves.
//
//     node provider-users.mjs
//
// Prints `ready ISSUER` and ends when its stdin does.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider, errors } from 'oidc-provider';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const SCOPES = ['openid', 'offline_access', 'tools:call', 'tools:read'];
const native = { token_endpoint_auth_method: 'none', application_type: 'native', id_token_signed_response_alg: 'ES256', scope: SCOPES.join(' ') };
const key = (alg, make) => ({ ...make().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg });

let answer;
const server = http.createServer((request, response) => answer(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const keys = [
    key('ES256', () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })),
    key('RS256', () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })),
];
const provider = new Provider(issuer, {
    clientAuthMethods: ['none', 'private_key_jwt', 'attest_jwt_client_auth'],
    clients: [
        { client_id: 'native', ...native, redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] },
        { client_id: 'device', ...native, redirect_uris: [], grant_types: [DEVICE, 'refresh_token'], response_types: [] },
        { client_id: 'signing', ...native, redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], require_signed_request_object: true, request_object_signing_alg: 'ES256', jwks: { keys: [JSON.parse(process.env.SIGNING_KEY)] } },
        { client_id: 'attested', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'tools:call', token_endpoint_auth_method: 'attest_jwt_client_auth' },
    ],
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    enabledJWA: { clientAuthSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256'], requestObjectSigningAlgValues: ['ES256'], idTokenSigningAlgValues: ['ES256', 'RS256'], attestSigningAlgValues: ['ES256'] },
    features: {
        attestClientAuth: {
            enabled: true,
            ack: 'draft-12',
            challengeSecret: crypto.randomBytes(32),
            getAttestationSignaturePublicKey: async () => crypto.createPublicKey({ key: JSON.parse(process.env.ATTESTER_KEY), format: 'jwk' }),
            assertAttestationJwtAndPop: async () => {},
        },
        clientCredentials: { enabled: true },
        dPoP: { enabled: true, nonceSecret: crypto.randomBytes(32), requireNonce: () => true },
        devInteractions: { enabled: true },
        deviceFlow: { enabled: true },
        pushedAuthorizationRequests: { enabled: true },
        registration: { enabled: true },
        registrationManagement: { enabled: true },
        requestObjects: { enabled: true },
        resourceIndicators: {
            enabled: true,
            getResourceServerInfo(_ctx, indicator) {
                if (new URL(indicator).hostname !== 'tools.example') throw new errors.InvalidTarget('no such resource');
                return { audience: indicator, scope: 'tools:call tools:read', accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
            },
            useGrantedResource: () => true,
        },
        revocation: { enabled: true },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    jwks: { keys },
    rotateRefreshToken: true,
    scopes: SCOPES,
});
answer = provider.callback();
console.log(`ready ${issuer}`);
process.stdin.resume().on('end', () => process.exit(0));
