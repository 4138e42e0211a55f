// npm oidc-provider as an authorization server on loopback, configured for `interop/run oauth`.
//
//     CLIENT_JWKS='{"keys":[…]}' node provider.mjs
//
// Prints `ready ISSUER MIRROR` and then obeys lines on stdin: `rotate` signs with new keys and publishes the old ones beside them, `retire` publishes the new
// ones alone. Ends when stdin does. MIRROR is another port with the same answers, so that its metadata names an issuer that was not asked for.
import crypto from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';
import { Provider, errors } from 'oidc-provider';

const ALGORITHMS = {
    ES256: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    Ed25519: () => crypto.generateKeyPairSync('ed25519'),
    RS256: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    PS256: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const SCOPES = 'tools:call tools:read';
const CLIENTS = ['agent-7', 'spiffe://example.org/agent'];

const generation = (number) => Object.entries(ALGORITHMS).map(([alg, make]) => ({
    ...make().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${number}`,
}));

// A resource says by its last segment how its tokens are signed: `…/Ed25519`. `…/opaque` has tokens that are no JWT, `…/brief` ones that last a second.
function resource(_ctx, indicator) {
    const { hostname, pathname } = new URL(indicator);
    if (hostname !== 'tools.example') throw new errors.InvalidTarget('no such resource');
    const kind = pathname.split('/').at(-1);
    return {
        audience: indicator,
        scope: SCOPES,
        accessTokenTTL: kind === 'brief' ? 1 : 300,
        accessTokenFormat: kind === 'opaque' ? 'opaque' : 'jwt',
        jwt: { sign: { alg: kind in ALGORITHMS ? kind : 'ES256' } },
    };
}

const client = (id) => ({
    client_id: id,
    grant_types: ['client_credentials'],
    jwks: JSON.parse(process.env.CLIENT_JWKS),
    redirect_uris: [],
    response_types: [],
    scope: SCOPES,
    token_endpoint_auth_method: 'private_key_jwt',
});

const provider = (issuer, keys) => new Provider(issuer, {
    clientAuthMethods: ['private_key_jwt'],
    clients: CLIENTS.map(client),
    cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
    enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'Ed25519'] },
    features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: { enabled: true, getResourceServerInfo: resource },
    },
    jwks: { keys },
    scopes: [...SCOPES.split(' '), 'tools:admin'], // the last one is no client's
    ttl: { ClientCredentials: 300 },
});

let answer;
const listen = () => new Promise((resolve) => {
    const server = http.createServer((request, response) => answer(request, response));
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
});
const issuer = await listen();
const mirror = await listen();
let keys = generation(1);
answer = provider(issuer, keys).callback();
console.log(`ready ${issuer} ${mirror}`);

for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === 'rotate') keys = [...generation(2), ...keys];
    if (line === 'retire') keys = keys.filter(({ kid }) => kid.endsWith('-2'));
    answer = provider(issuer, keys).callback();
    console.log(line);
}
process.exit(0);
