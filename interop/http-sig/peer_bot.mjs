// Driver of npm web-bot-auth, for the cases whose tag is its own. It gives `keyid` and `alg` itself.
import { parseItem } from 'structured-headers';
import { signatureHeaders, verify as verifyBot } from 'web-bot-auth';
import { signerFromJWK, verifierFromJWK } from 'web-bot-auth/crypto';
import { Cannot, jwk, publicJwk, read, serve, write } from './raw.mjs';

const TAG = 'web-bot-auth';

function model({ request, response }, job) {
    if (response || job.parameters.tag !== TAG) throw new Cannot('requests with its own tag alone');
    const headers = new Headers(request.fields.map(([name, value]) => [name, value.trim()]));
    return { method: request.method, url: request.uri, headers };
}

async function own(work) {
    try {
        return await work();
    } catch (error) {
        throw /^Unsupported (curve|key type|algorithm)/.test(error.message) ? new Cannot(error.message) : error;
    }
}

// A name, or a name with parameters as the package has them.
function component(text) {
    const [name, parameters] = parseItem(text);
    return parameters.size > 0 ? { name, parameters } : name;
}

async function sign(job) {
    const messages = read(job);
    const message = model(messages, job);
    const { kid, ...key } = jwk(job);
    const signer = await own(() => signerFromJWK(key));
    const { created, expires, nonce } = job.parameters;
    const made = await signatureHeaders(message, signer, {
        created: new Date(created * 1000), expires: new Date(expires * 1000), nonce, key: job.label, components: job.cover.map(component),
    });
    write(job, messages.carrier, Object.entries(made).map(([name, value]) => [name, ` ${value}`]));
}

async function verify(job) {
    const message = model(read(job), job);
    const verifier = await own(() => verifierFromJWK(publicJwk(jwk(job))));
    await verifyBot(message, verifier);
}

await serve({ sign, verify });
