// Keycloak as the authorization server of `interop/run keycloak`, with npm openid-client as the client.
//
//     BASE=http://127.0.0.1:PORT node keycloak.mjs setup     # waits for the server, and makes the realm `agents`
//     BASE=… TOOL=… node keycloak.mjs calls                  # gets tokens and calls the guarded tool
import * as oauth from 'openid-client';
import { attempt, call, part, row, told } from './steps.mjs';

const { BASE, TOOL } = process.env;
const ISSUER = `${BASE}/realms/agents`;
const SECRET = 'a secret of thirty-two characters';
const SCOPE = 'tools.call';

const audience = {
    name: 'audience', protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': 'tool', 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
};
const client = (clientId, attributes = {}, more = {}) => ({
    clientId, secret: SECRET, enabled: true, protocol: 'openid-connect', clientAuthenticatorType: 'client-secret', serviceAccountsEnabled: true,
    standardFlowEnabled: false, directAccessGrantsEnabled: false, fullScopeAllowed: false, attributes, protocolMappers: [audience], ...more,
});
const AT_JWT = { 'access.token.header.type.rfc9068': 'true' };
const CLIENTS = [
    client('agent'),
    client('agent-at', { ...AT_JWT, 'access.token.signed.response.alg': 'ES256' }),
    client('agent-ed', { ...AT_JWT, 'access.token.signed.response.alg': 'EdDSA' }),
    client('agent-dpop', { 'dpop.bound.access.tokens': 'true' }),
    client('agent-light', { 'client.use.lightweight.access.token.enabled': 'true' }),
    client('agent-elsewhere', {}, { protocolMappers: [] }),
    client('app', {}, { directAccessGrantsEnabled: true }),
    client('tool', {}, { protocolMappers: [] }),
];
const ALICE = {
    username: 'alice', enabled: true, email: 'alice@example.test', emailVerified: true, firstName: 'Alice', lastName: 'Test',
    credentials: [{ type: 'password', value: SECRET, temporary: false }],
};

const form = (fields) => ({ method: 'POST', body: new URLSearchParams(fields) });
const json = async (answer) => {
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.url} ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
};
const up = async () => {
    for (let tries = 0; tries < 600; tries += 1) {
        const answer = await fetch(`${BASE}/realms/master`).catch(() => undefined);
        if (answer?.ok) return;
        await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Error('Keycloak did not start within 300 s');
};

async function setup() {
    await up();
    const admin = await json(await fetch(`${BASE}/realms/master/protocol/openid-connect/token`, form({
        grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: process.env.KC_BOOTSTRAP_ADMIN_PASSWORD,
    })));
    const api = async (method, path, body) => json(await fetch(`${BASE}/admin/realms${path}`, {
        method, headers: { authorization: `Bearer ${admin.access_token}`, 'content-type': 'application/json' }, body: JSON.stringify(body),
    }));
    const keys = [['ecdsa-generated', 'ecdsaEllipticCurveKey', 'P-256'], ['eddsa-generated', 'eddsaEllipticCurveKey', 'Ed25519']];
    await api('POST', '', { realm: 'agents', enabled: true, clients: CLIENTS, users: [ALICE] });
    for (const [providerId, option, curve] of keys) {
        await api('POST', '/agents/components', {
            name: providerId, providerId, providerType: 'org.keycloak.keys.KeyProvider', config: { priority: ['100'], [option]: [curve] },
        });
    }
    await api('POST', '/agents/client-scopes', { name: SCOPE, protocol: 'openid-connect', attributes: { 'include.in.token.scope': 'true' } });
    const scope = (await api('GET', '/agents/client-scopes')).find(({ name }) => name === SCOPE);
    for (const { id, clientId } of await api('GET', '/agents/clients')) {
        if (CLIENTS.some((own) => own.clientId === clientId)) await api('PUT', `/agents/clients/${id}/optional-client-scopes/${scope.id}`);
    }
}

const as = async (id) => {
    const config = await oauth.discovery(new URL(ISSUER), id, SECRET, oauth.ClientSecretBasic(SECRET), { execute: [oauth.allowInsecureRequests] });
    return config;
};
const token = async (id, scope = SCOPE) => (await oauth.clientCredentialsGrant(await as(id), { scope })).access_token;
const user = async () => oauth.genericGrantRequest(await as('app'), 'password', { username: 'alice', password: SECRET, scope: `openid ${SCOPE}` });
const header = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url'));
const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));

async function calls() {
    part('JWTs');
    for (const [id, typ, alg] of [['agent', 'JWT', 'RS256'], ['agent-at', 'at+jwt', 'ES256'], ['agent-ed', 'at+jwt', 'EdDSA']]) {
        const jwt = await token(id);
        row(`the header of a token for ${id}`, `${typ} ${alg}`, `${header(jwt).typ} ${header(jwt).alg}`);
        await attempt(`${id}: for this tool`, '200', () => call(`${TOOL}/jwt/call`, jwt));
        await attempt(`${id}: without the scope`, '403 guard.scope', async () => call(`${TOOL}/jwt/call`, await token(id, 'profile')));
    }
    await attempt('a client without an audience mapper', '401 token.claim', async () => call(`${TOOL}/jwt/call`, await token('agent-elsewhere')));
    const alice = await user();
    await attempt('a token of a user', '200', () => call(`${TOOL}/jwt/call`, alice.access_token));
    await attempt('the ID token of that user', '401 token.not_access_token', () => call(`${TOOL}/jwt/call`, alice.id_token));
    await attempt('the refresh token of that user', '401 token.algorithm', () => call(`${TOOL}/jwt/call`, alice.refresh_token));

    part('DPoP');
    const bound = await as('agent-dpop');
    const sent = [];
    bound[oauth.customFetch] = (url, options) => {
        if (String(url).startsWith(TOOL)) sent.push(options);
        return fetch(url, options);
    };
    const url = new URL(`${TOOL}/dpop/call`);
    const DPoP = oauth.getDPoPHandle(bound, await oauth.randomDPoPKeyPair('ES256'));
    const held = (await oauth.clientCredentialsGrant(bound, { scope: SCOPE }, { DPoP })).access_token;
    row('`cnf` has another member beside `jkt`', 'jkt kc-jkt-type', Object.keys(claims(held).cnf).join(' '));
    const by = () => oauth.fetchProtectedResource(bound, held, url, 'POST', 'x', new Headers(), { DPoP });
    await attempt('with nonces of the guard', '200', async () => told(await by()));
    await attempt('the same request again', '401 replay.replayed', async () => told(await fetch(url, sent.at(-1))));
    await attempt('as a bearer token', '401 token.not_bound', () => call(url, held));
    await attempt('without a proof', '401 dpop.missing', () => call(url, held, { scheme: 'DPoP' }));

    part('introspection');
    const asked = `${TOOL}/asked/call`;
    await attempt('a JWT that the guard asks about', '200', async () => call(asked, await token('agent')));
    await attempt('one of a client without an audience mapper', '401 token.inactive', async () => call(asked, await token('agent-elsewhere')));
    await attempt('of a user that has logged out', '401 token.inactive', async () => {
        const bob = await user();
        await fetch(`${ISSUER}/protocol/openid-connect/logout`, form({ client_id: 'app', client_secret: SECRET, refresh_token: bob.refresh_token }));
        return call(asked, bob.access_token);
    });
    await attempt('revoked', '401 token.inactive', async () => {
        const revoked = await token('agent');
        await oauth.tokenRevocation(await as('agent'), revoked);
        return call(asked, revoked);
    });

    part('lightweight access tokens');
    const light = await token('agent-light');
    row('of `aud`, `client_id` and `sub` it has only', 'sub', ['aud', 'client_id', 'sub'].filter((it) => it in claims(light)).join(' '));
    await attempt('by its signature alone', '401 token.claim', () => call(`${TOOL}/jwt/call`, light));
    await attempt('by introspection', '200', () => call(asked, light));
    await attempt('by introspection, without the scope', '403 guard.scope', async () => call(asked, await token('agent-light', 'profile')));
}

await { setup, calls }[process.argv[2]]();
