// npm openid-client gets tokens from oidc-provider and calls the guarded tool with them.
//
//     ISSUER=… TOOL=http://… TOOL_TLS=https://… TLS=DIR NODE_EXTRA_CA_CERTS=DIR/ca.pem node calls.mjs
import * as oauth from 'openid-client';
import { attempt, call, fetcher, part, told } from './steps.mjs';

const { ISSUER, TOOL, TOOL_TLS } = process.env;
const SECRET = 'a secret of thirty-two characters';
const scope = 'tools:call';
const config = await oauth.discovery(new URL(ISSUER), 'agent', SECRET, oauth.ClientSecretBasic(SECRET));
const grant = (resource, more = {}) => oauth.clientCredentialsGrant(config, { resource, scope, ...more });
const token = async (resource, more) => (await grant(resource, more)).access_token;

part('JWT access tokens (RFC 9068)');
const jwt = await token(`${TOOL}/jwt`);
await attempt('for this tool', '200', () => call(`${TOOL}/jwt/call`, jwt));
await attempt('again, as a known token', '200', () => call(`${TOOL}/jwt/call`, jwt));
await attempt('for another tool', '401 token.audience', async () => call(`${TOOL}/jwt/call`, await token('https://elsewhere.example/')));
await attempt('with another scope', '403 guard.scope', async () => call(`${TOOL}/jwt/call`, await token(`${TOOL}/jwt`, { scope: 'tools:read' })));
await attempt('no token', '401 token.missing', () => call(`${TOOL}/jwt/call`));
await attempt('a token that is bound to no key, with the scheme DPoP', '401 token.not_bound', async () => call(`${TOOL}/dpop/call`, await token(`${TOOL}/dpop`), { scheme: 'DPoP' }));

for (const [kind, title] of [['opaque', 'opaque tokens, answers in JSON (RFC 7662)'], ['opaque-signed', 'opaque tokens, signed answers (RFC 9701)']]) {
    part(title);
    const url = `${TOOL}/${kind}/call`;
    const opaque = await token(`${TOOL}/${kind}`);
    await attempt('for this tool', '200', () => call(url, opaque));
    await attempt('again, as a known token', '200', () => call(url, opaque));
    await attempt('for another tool', '401 token.audience', async () => call(url, await token('https://elsewhere.example/opaque')));
    await attempt('with another scope', '403 guard.scope', async () => call(url, await token(`${TOOL}/${kind}`, { scope: 'tools:read' })));
    await attempt('made up', '401 token.inactive', () => call(url, 'a-token-that-nobody-issued'));
    await attempt('revoked before it was used', '401 token.inactive', async () => {
        const revoked = await token(`${TOOL}/${kind}`);
        await oauth.tokenRevocation(config, revoked);
        return call(url, revoked);
    });
}

part('DPoP (RFC 9449), with nonces of the provider and of the guard');
const bound = await oauth.discovery(new URL(ISSUER), 'agent-dpop', SECRET, oauth.ClientSecretBasic(SECRET));
oauth.allowInsecureRequests(bound); // the tool has no TLS
const sent = []; // the requests that the library made to the tool
bound[oauth.customFetch] = (url, options) => {
    if (String(url).startsWith(TOOL)) sent.push({ url, options });
    return fetch(url, options);
};
for (const [alg, kind] of [['ES256', 'dpop'], ['Ed25519', 'dpop'], ['ES256', 'opaque-dpop']]) {
    const pair = await oauth.randomDPoPKeyPair(alg, { extractable: true });
    const DPoP = oauth.getDPoPHandle(bound, pair);
    const url = new URL(`${TOOL}/${kind}/call`);
    const headers = () => new Headers({ accept: '*/*' });
    const granted = await oauth.clientCredentialsGrant(bound, { resource: `${TOOL}/${kind}`, scope }, { DPoP });
    const by = (handle) => oauth.fetchProtectedResource(bound, granted.access_token, url, 'POST', 'x', headers(), { DPoP: handle });
    const name = `${kind}, ${alg}`;
    sent.length = 0;
    await attempt(`${name}: the library gets the nonce and sends the call again`, '200 after 2 requests', async () => `${told(await by(DPoP))} after ${sent.length} requests`);
    await attempt(`${name}: the next call has the nonce at once`, '200 after 1 requests', async () => {
        sent.length = 0;
        return `${told(await by(DPoP))} after ${sent.length} requests`;
    });
    await attempt(`${name}: the same request again`, '401 replay.replayed', async () => {
        const { options } = sent.at(-1);
        return told(await fetch(url, options));
    });
    await attempt(`${name}: a proof for another tool's path`, '401 dpop.htu', async () => {
        sent.length = 0;
        await by(DPoP);
        return told(await fetch(`${url}/elsewhere`, sent.at(-1).options));
    });
    await attempt(`${name}: without a proof`, '401 dpop.missing', () => call(url, granted.access_token, { scheme: 'DPoP' }));
    await attempt(`${name}: as a bearer token`, '401 token.not_bound', () => call(url, granted.access_token));
    await attempt(`${name}: a thief with a key of its own`, '401 token.not_bound', async () => {
        const thief = oauth.getDPoPHandle(bound, await oauth.randomDPoPKeyPair(alg));
        try {
            return told(await by(thief));
        } catch (error) {
            return told(error.response ?? error.cause);
        }
    });
}

part('tokens that are bound to a certificate (RFC 8705)');
const tls = await oauth.discovery(new URL(ISSUER), 'agent-tls', { use_mtls_endpoint_aliases: true }, oauth.TlsClientAuth());
tls[oauth.customFetch] = fetcher({ certificate: 'agent' });
for (const kind of ['tls', 'opaque-tls']) {
    const url = `${TOOL_TLS}/${kind}/call`;
    const { access_token: held } = await oauth.clientCredentialsGrant(tls, { resource: `${TOOL_TLS}/${kind}`, scope });
    await attempt(`${kind}: with the certificate`, '200', () => call(url, held, { certificate: 'agent' }));
    await attempt(`${kind}: with another certificate of the same authority`, '401 token.not_bound', () => call(url, held, { certificate: 'other' }));
    await attempt(`${kind}: without one`, '401 token.not_bound', () => call(url, held));
    await attempt(`${kind}: without one, and with a Client-Cert field`, '400 guard.certificate_field', () => call(url, held, { fields: { 'client-cert': ':AAAA:' } }));
}
