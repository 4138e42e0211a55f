// Driver of npm http-message-sig: its own WebCrypto keys for ed25519 and rsa-pss-sha512; others are the caller's to bring, and are not brought.
import { SignatureErrorCode, component, createSignature, verifySignature, webcrypto } from 'http-message-sig';
import { parseItem } from 'structured-headers';
import { Cannot, jwk, publicJwk, read, serve, write } from './raw.mjs';

const WEBCRYPTO = { ed25519: { name: 'Ed25519' }, 'rsa-pss-sha512': { name: 'RSA-PSS', hash: 'SHA-512' } };

function key(job, usage) {
    const algorithm = WEBCRYPTO[job.algorithm];
    if (!algorithm) throw new Cannot(`no ${job.algorithm} in the package`);
    const { kid, alg, use, ...own } = usage === 'sign' ? jwk(job) : publicJwk(jwk(job));
    return crypto.subtle.importKey('jwk', own, algorithm, false, [usage]);
}

const fields = (message) => message.fields.map(([name, value]) => ({ name, value }));

function model({ request, response }) {
    const asked = {
        kind: 'request', method: request.method, targetUri: request.uri, requestTarget: request.target, fields: fields(request),
    };
    return response ? { kind: 'response', status: response.status, fields: fields(response), request: asked } : asked;
}

const components = (job) => job.cover.map((text) => {
    const [name, parameters] = parseItem(text);
    return component(name, Object.fromEntries(parameters));
});

// What the package says it lacks is told apart from what it refuses.
async function told(work) {
    try {
        return await work();
    } catch (error) {
        throw error.code === SignatureErrorCode.UnsupportedFeature ? new Cannot(error.message) : error;
    }
}

async function sign(job) {
    const messages = read(job);
    const signer = webcrypto.signer(await key(job, 'sign'));
    const made = await createSignature(model(messages), {
        label: job.label,
        components: components(job),
        parameters: { ...job.parameters, ...(job.keyid ? { keyid: job.keyid } : {}), ...(job.alg ? { alg: signer.algorithm } : {}) },
        signer,
    });
    // One more line of each field, which is one more member of each dictionary.
    const before = messages.carrier.fields.filter(([name]) => /^signature(-input)?$/i.test(name));
    write(job, messages.carrier, [...before, ['Signature-Input', ` ${made.signatureInput}`], ['Signature', ` ${made.signature}`]]);
}

async function verify(job) {
    const verifier = webcrypto.verifier(await key(job, 'verify'));
    await verifySignature(model(read(job)), {
        label: job.label,
        policy: {
            algorithms: [job.algorithm], requiredComponents: components(job), requiredParameters: [], clockSkew: 30, now: job.now,
        },
        resolveVerifier({ parameters }) {
            if (parameters.keyid !== undefined && parameters.keyid !== job.keyid) throw new Error('another keyid');
            return verifier;
        },
    });
}

await serve({ sign: (job) => told(() => sign(job)), verify: (job) => told(() => verify(job)) });
