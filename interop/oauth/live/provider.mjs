// npm oidc-provider as an authorization server on loopback with TLS, configured for `interop/run live`.
//
//     TLS=DIR TOOL_JWKS='{"keys":[…]}' node provider.mjs
//
// DIR has ca.pem, server.pem, server.key and self.pem, the self-signed certificate of a client. Prints `ready ISSUER`. Ends when stdin does. It asks for client certificates and requires none; every DPoP proof needs
// a nonce. A resource with `opaque` in its path gets tokens that are no JWT.
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import { Provider, errors } from 'oidc-provider';

const pem = (name) => fs.readFileSync(`${process.env.TLS}/${name}`);
const SCOPES = 'tools:call tools:read';
const agent = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: SCOPES };
const own = new crypto.X509Certificate(pem('self.pem'));
const clients = [
    { ...agent, client_id: 'agent', client_secret: 'a secret of thirty-two characters' },
    { ...agent, client_id: 'agent-dpop', client_secret: 'a secret of thirty-two characters', dpop_bound_access_tokens: true },
    {
        ...agent, client_id: 'agent-tls', token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'agent.example', tls_client_certificate_bound_access_tokens: true,
    },
    {
        ...agent, client_id: 'agent-self', token_endpoint_auth_method: 'self_signed_tls_client_auth', tls_client_certificate_bound_access_tokens: true,
        jwks: { keys: [{ ...own.publicKey.export({ format: 'jwk' }), x5c: [own.raw.toString('base64')] }] },
    },
    // The resource server: once with a secret, and once with a key and signed answers (RFC 9701).
    { ...agent, client_id: 'tool', client_secret: 'another secret of a good length' },
    {
        ...agent, client_id: 'tool-signed', token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(process.env.TOOL_JWKS),
        introspection_signed_response_alg: 'ES256',
    },
];
const signing = (alg, pair) => ({ ...pair.privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg });
const keys = [
    signing('ES256', crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })),
    signing('RS256', crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })),
];

const getResourceServerInfo = (_ctx, indicator) => {
    if (!URL.canParse(indicator)) throw new errors.InvalidTarget();
    const opaque = indicator.includes('opaque');
    return {
        audience: indicator, scope: SCOPES, accessTokenTTL: 300,
        ...(opaque ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    };
};

let answer;
const server = https.createServer(
    { ca: pem('ca.pem'), cert: pem('server.pem'), key: pem('server.key'), requestCert: true, rejectUnauthorized: false },
    (request, response) => answer(request, response),
);
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `https://localhost:${server.address().port}`;
const certificate = (ctx) => ctx.socket.getPeerX509Certificate?.();
answer = new Provider(issuer, {
    clients,
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    enabledJWA: {
        clientAuthSigningAlgValues: ['ES256'],
        dPoPSigningAlgValues: ['ES256', 'Ed25519'],
        introspectionSigningAlgValues: ['ES256', 'RS256'],
    },
    features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        dPoP: { enabled: true, nonceSecret: crypto.randomBytes(32), requireNonce: () => true },
        introspection: { enabled: true },
        jwtIntrospection: { enabled: true },
        mTLS: {
            enabled: true, certificateBoundAccessTokens: true, tlsClientAuth: true, selfSignedTlsClientAuth: true,
            getCertificate: (ctx) => certificate(ctx)?.toString(),
            certificateAuthorized: (ctx) => ctx.socket.authorized,
            certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_san_dns'
                && (certificate(ctx)?.subjectAltName ?? '').split(', ').includes(`DNS:${expected}`),
        },
        resourceIndicators: { enabled: true, getResourceServerInfo },
        revocation: { enabled: true },
    },
    jwks: { keys },
    scopes: SCOPES.split(' '),
}).callback();
console.log(`ready ${issuer}`);
process.stdin.on('end', () => process.exit(0)).resume();
