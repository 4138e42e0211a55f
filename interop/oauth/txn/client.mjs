// npm openid-client asks our token service, and npm jose checks our transaction tokens by the rules
// of the draft, written here: no independent implementation of transaction tokens is published.
// Reads a job as JSON from stdin, and writes a JSON object for each step.
import { text } from 'node:stream/consumers';
import * as client from 'openid-client';
import * as jose from 'jose';

const job = JSON.parse(await text(process.stdin));
const TYPE = 'urn:ietf:params:oauth:token-type:';
const say = (step, seen) => console.log(JSON.stringify({ step, seen }));

const key = await jose.importPKCS8(job.key, 'ES256');
const typed = (header) => { header.typ = 'client-authentication+jwt'; };
const authentication = client.PrivateKeyJwt({ key, kid: job.kid }, { [client.modifyAssertion]: typed });
const config = await client.discovery(new URL(job.issuer), job.client, {}, authentication, {
    algorithm: 'oauth2', execute: [client.allowInsecureRequests],
});
const jwks = await (await fetch(config.serverMetadata().jwks_uri)).json();

// draft-ietf-oauth-transaction-tokens §9.2, §12.2
async function verify(token, domain = job.domain, skip = 0) {
    const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet(jwks), {
        typ: 'txntoken+jwt', audience: domain, clockTolerance: 30, algorithms: ['ES256'],
        requiredClaims: ['iat', 'exp', 'aud', 'txn', 'sub', 'scope', 'req_wl'],
        currentDate: new Date(Date.now() + skip * 1000),
    });
    for (const name of ['txn', 'sub', 'scope', 'req_wl']) {
        if (typeof payload[name] !== 'string' || !payload[name]) throw new Error(`${name} says nothing`);
    }
    return payload;
}

async function exchange(changes = {}) {
    const answer = await client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
        subject_token: job.access_token, subject_token_type: `${TYPE}access_token`,
        requested_token_type: `${TYPE}txn_token`, audience: job.domain, scope: 'orders stock',
        request_details: JSON.stringify({ call_digest: job.call }), ...changes,
    });
    if (answer.issued_token_type !== `${TYPE}txn_token`) throw new Error('issued_token_type');
    if (answer.token_type !== 'n_a') throw new Error('token_type');
    if ('refresh_token' in answer) throw new Error('refresh_token');
    return answer.access_token;
}

async function judged(step, work) {
    try {
        say(step, (await work()) ?? 'ok');
    } catch (error) {
        say(step, error.error ?? error.code ?? error.message);
    }
}

let token;
await judged('exchange', async () => { token = await exchange(); });
await judged('verify', async () => {
    const claims = await verify(token);
    const own = [claims.sub, claims.scope, claims.req_wl, claims.tctx.call_digest, claims.act.sub];
    const expected = [job.subject, 'orders stock', job.client, job.call, job.client];
    if (JSON.stringify(own) !== JSON.stringify(expected)) throw new Error(JSON.stringify(own));
});
await judged('wider scope', () => exchange({ scope: 'orders refunds' }));
await judged('other domain', () => exchange({ audience: 'other.example' }));
await judged('no access token', () => exchange({ subject_token: token }));
await judged('refresh token', () => exchange({ subject_token_type: `${TYPE}refresh_token` }));
const refused = async (...all) => {
    try {
        await verify(...all);
    } catch {
        return 'refused';
    }
};
await judged('token of another domain', () => refused(token, 'other.example'));
await judged('token after its end', () => refused(token, job.domain, 120));
await judged('token with another signature', () => refused(`${token.slice(0, -8)}AAAAAAAA`));
await judged('access token', () => refused(job.access_token));
