// What `interop/run keycloak` needs for the project's own client: scopes, clients, and an issuer of assertions, by Keycloak's admin API.
//
//     BASE=… TOOL=… SIDE=… CLIENT_JWKS='{"keys":[…]}' RESOURCES='{"NAME":"URL"}' node keycloak-clients.mjs      # after `keycloak.mjs setup`
//
// SIDE is the URL of the suite's own server: `/jwks` has the keys of the issuer of assertions, and `/ping` receives pings.
// RESOURCES are MCP servers, by their audiences.
const { BASE, TOOL, SIDE, CLIENT_JWKS } = process.env;
const RESOURCES = JSON.parse(process.env.RESOURCES);
// Keycloak finds no key without `use`.
const KEYS = JSON.stringify({ keys: JSON.parse(CLIENT_JWKS).keys.map((key) => ({ ...key, use: 'sig' })) });

const form = (fields) => ({ method: 'POST', body: new URLSearchParams(fields) });
const json = async (answer) => {
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.url} ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
};
const admin = await json(await fetch(`${BASE}/realms/master/protocol/openid-connect/token`, form({
    grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: process.env.KC_BOOTSTRAP_ADMIN_PASSWORD,
})));
const api = async (method, path, body) => json(await fetch(`${BASE}/admin/realms/agents${path}`, {
    method, headers: { authorization: `Bearer ${admin.access_token}`, 'content-type': 'application/json' }, body: JSON.stringify(body),
}));

const audience = (name) => ({
    name: `audience ${name}`, protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': name, 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
});
// A resource is good for clients that can have its audience.
// Without Keycloak's default scopes but `basic`, which has `sub`: its others come along with every token.
const SCOPES = { defaultClientScopes: ['basic'], optionalClientScopes: ['tools.call', 'tools.write'] };
const client = (clientId, attributes = {}, more = {}) => ({
    clientId, enabled: true, protocol: 'openid-connect', fullScopeAllowed: false, standardFlowEnabled: false, directAccessGrantsEnabled: false,
    publicClient: false, protocolMappers: [audience('tool'), audience('our-tool')], ...SCOPES, ...more,
    attributes: { 'access.token.header.type.rfc9068': 'true', ...attributes },
});
const byKey = (clientId, attributes = {}, more = {}) => client(clientId, {
    'use.jwks.string': 'true', 'jwks.string': KEYS, 'token.endpoint.auth.signing.alg': 'ES256', 'standard.token.exchange.enabled': 'true', ...attributes,
}, { clientAuthenticatorType: 'client-jwt', serviceAccountsEnabled: true, ...more });
// With PKCE required, Keycloak demands it at the endpoint for devices too, where RFC 8628 has none.
const device = (clientId, attributes = {}) => client(clientId, { 'oauth2.device.authorization.grant.enabled': 'true', ...attributes }, {
    publicClient: true, protocolMappers: exchanged,
});
// A redirect URI without port stands for every port of this machine.
const app = (clientId, attributes = {}, more = {}) => client(clientId, { 'pkce.code.challenge.method': 'S256', ...attributes }, {
    publicClient: true, standardFlowEnabled: true, redirectUris: ['http://127.0.0.1/callback'], ...more,
});
const exchanged = [audience('tool'), audience('our-tool'), audience('our-agent'), audience('our-wide'), audience('our-dpop')];

await api('POST', '/client-scopes', { name: 'tools.write', protocol: 'openid-connect', attributes: { 'include.in.token.scope': 'true' } });
await api('POST', '/identity-provider/instances', {
    alias: 'upstream', providerId: 'jwt-authorization-grant', enabled: true,
    config: { issuer: SIDE, useJwksUrl: 'true', jwksUrl: `${SIDE}/jwks`, jwtAuthorizationGrantEnabled: 'true', jwtAuthorizationGrantMaxAllowedAssertionExpiration: '300' },
});
await api('POST', '/identity-provider/instances', {
    alias: 'spiffe', providerId: 'spiffe', enabled: true,
    config: { trustDomain: 'spiffe://interop.test', bundleEndpoint: `${SIDE}/jwks`, issuer: 'spiffe://interop.test' },
});
await api('POST', '/identity-provider/instances', {
    alias: 'attester', providerId: 'default-trust', enabled: true, config: { useJwksUrl: 'true', jwksUrl: `${SIDE}/jwks` },
});
const [alice] = await api('GET', '/users?username=alice');
await api('POST', `/users/${alice.id}/federated-identity/upstream`, { identityProvider: 'upstream', userId: 'up-alice', userName: 'alice' });
// A user who comes with a realm does not have its default roles.
await api('POST', `/users/${alice.id}/role-mappings/realm`, [await api('GET', '/roles/offline_access')]);
await api('PUT', '', {
    realm: 'agents', revokeRefreshToken: true, refreshTokenMaxReuse: 0,
    attributes: { cibaBackchannelTokenDeliveryMode: 'poll', cibaExpiresIn: '120', cibaInterval: '1', cibaAuthRequestedUserHint: 'login_hint' },
});
for (const made of [
    byKey('our-agent', { 'oauth2.jwt.authorization.grant.enabled': 'true', 'oauth2.jwt.authorization.grant.idp': 'upstream' }),
    byKey('our-wide', {}, { defaultClientScopes: ['basic', 'tools.write'], optionalClientScopes: ['tools.call'] }),
    byKey('our-dpop', { 'dpop.bound.access.tokens': 'true' }),
    byKey('our-ciba', { 'oidc.ciba.grant.enabled': 'true', 'ciba.backchannel.token.delivery.mode': 'poll' }, { standardFlowEnabled: true, redirectUris: ['http://127.0.0.1/callback'] }),
    byKey('our-pinged', {
        'oidc.ciba.grant.enabled': 'true', 'ciba.backchannel.token.delivery.mode': 'ping', 'ciba.backchannel.client.notification.endpoint': `${SIDE}/ping`,
    }, { standardFlowEnabled: true, redirectUris: ['http://127.0.0.1/callback'] }),
    byKey('our-workload', { 'jwt.credential.issuer': 'spiffe', 'jwt.credential.sub': 'spiffe://interop.test/agent' }, { clientAuthenticatorType: 'federated-jwt' }),
    client('our-tls', {
        'x509.subjectdn': 'CN=agent.example', 'x509.casubjectdn': 'CN=interop', 'x509.allow.regex.pattern.comparison': 'false', 'tls.client.certificate.bound.access.tokens': 'true',
    }, { clientAuthenticatorType: 'client-x509', serviceAccountsEnabled: true }),
    client('our-attested', { attester_trust_idps: 'attester' }, { clientAuthenticatorType: 'attestation-based', serviceAccountsEnabled: true }),
    app('our-app'),
    // `aims login` asks for `offline_access`, which is also a role of the user.
    app('our-cli', {}, { optionalClientScopes: ['tools.call', 'offline_access'], fullScopeAllowed: true }),
    // Longer than any exchanged token of this run.
    device('our-device', { 'access.token.lifespan': '3000' }),
    device('our-brief', { 'access.token.lifespan': '60' }),
    // As Keycloak makes a client: with the scopes `profile` and `email` in every token.
    app('our-usual', {}, { defaultClientScopes: ['basic', 'profile', 'email'] }),
    app('our-mcp', {}, { optionalClientScopes: ['tools.call', 'offline_access'], fullScopeAllowed: true, protocolMappers: Object.keys(RESOURCES).map(audience) }),
    // Resources by their URLs.
    client('our-tool', { resource_url: `${TOOL}/named` }, { protocolMappers: [] }),
    ...Object.entries(RESOURCES).map(([name, url]) => client(name, { resource_url: url }, { protocolMappers: [] })),
]) await api('POST', '/clients', made);
// A client that points at a document has the scopes of the realm: also the audience of a resource.
await api('POST', '/client-scopes', { name: 'aud.our-tool', protocol: 'openid-connect', attributes: { 'include.in.token.scope': 'false' }, protocolMappers: [audience('our-tool')] });
const scopes = await api('GET', '/client-scopes');
const scope = (name) => scopes.find((one) => one.name === name).id;
await api('PUT', `/default-default-client-scopes/${scope('aud.our-tool')}`);
await api('PUT', `/default-optional-client-scopes/${scope('tools.call')}`);
const AT = ['127.0.0.1', 'localhost'];
await api('PUT', '/client-policies/profiles', { profiles: [{ name: 'documents', executors: [{
    executor: 'client-id-metadata-document', configuration: {
        'cimd-allow-http-scheme': 'true', 'cimd-allow-permitted-domains': AT, 'cimd-restrict-same-domain': 'false', 'cimd-required-properties': [], 'only-allow-confidential-client': 'false',
    },
}] }] });
await api('PUT', '/client-policies/policies', { policies: [{ name: 'documents', enabled: true, profiles: ['documents'], conditions: [{
    condition: 'client-id-uri', configuration: { 'client-id-uri-scheme': ['https'], 'client-id-uri-allow-permitted-domains': AT },
}] }] });
// The initial access token of one registration (RFC 7591 §3).
const { token } = await api('POST', '/clients-initial-access', { count: 1, expiration: 600 });
console.log(token);
