// Driver of npm http-message-signatures.
import crypto from 'node:crypto';
import hms from 'http-message-signatures';
import { jwk, publicJwk, read, serve, write } from './raw.mjs';

const { createSigner, createVerifier, httpbis } = hms;

// Field lines under the name of the first one, as node's own servers would give them.
function headers(message) {
    const own = {};
    for (const [name, value] of message.fields) {
        const known = Object.keys(own).find((it) => it.toLowerCase() === name.toLowerCase());
        if (known) own[known] = [own[known], value].flat();
        else own[name] = value;
    }
    return own;
}

function model({ request, response }) {
    const asked = { method: request.method, url: request.uri, headers: headers(request) };
    return response ? [{ status: response.status, headers: headers(response) }, asked] : [asked, undefined];
}

const date = (seconds) => seconds === undefined ? undefined : new Date(seconds * 1000);

async function sign(job) {
    const messages = read(job);
    const own = jwk(job);
    const key = own.kty === 'oct' ? Buffer.from(own.k, 'base64url') : crypto.createPrivateKey({ key: own, format: 'jwk' });
    const { created, expires, ...texts } = job.parameters;
    const names = Object.keys(job.parameters);
    const signed = await httpbis.signMessage({
        key: createSigner(key, job.algorithm, job.keyid),
        name: job.label,
        params: [...names, 'keyid', ...(job.alg ? ['alg'] : [])],
        fields: job.cover,
        paramValues: { ...texts, created: date(created) ?? null, expires: date(expires) },
    }, ...model(messages));
    const added = Object.entries(signed.headers).filter(([name]) => /^signature(-input)?$/i.test(name));
    write(job, messages.carrier, added.map(([name, value]) => [name, ` ${value}`]));
}

async function verify(job) {
    const own = jwk(job);
    const key = own.kty === 'oct' ? Buffer.from(own.k, 'base64url')
        : crypto.createPublicKey({ key: publicJwk(own), format: 'jwk' });
    const seen = await httpbis.verifyMessage({
        async keyLookup({ keyid }) {
            if (keyid !== undefined && keyid !== job.keyid) return null;
            return { id: job.keyid, algs: [job.algorithm], verify: createVerifier(key, job.algorithm) };
        },
    }, ...model(read(job)));
    if (seen !== true) throw new Error(`verifyMessage gave ${seen}`);
}

await serve({ sign, verify });
