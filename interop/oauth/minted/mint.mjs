// Signs with npm jose what `minted.rs` asks for: reads one JSON object a line, and answers with one.
import readline from 'node:readline';
import * as jose from 'jose';

const keys = {}; // by name: { alg, public, private } as JWKs
const text = new TextEncoder();

async function generate(names) {
    for (const [name, alg] of Object.entries(names)) {
        const pair = await jose.generateKeyPair(alg, { extractable: true });
        const named = { kid: name, alg, use: 'sig' };
        keys[name] = {
            alg,
            public: { ...await jose.exportJWK(pair.publicKey), ...named },
            private: { ...await jose.exportJWK(pair.privateKey), ...named },
        };
    }
    return Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, key.public]));
}

// `jwk` of a proof has the members of the key alone.
function embedded(jwk) {
    const { kid, alg, use, ...bare } = jwk.$private ? keys[jwk.$private].private : keys[jwk.$public].public;
    return bare;
}

async function mint({ by, key, header, claims, payload }) {
    if (header.jwk) header.jwk = embedded(header.jwk);
    const body = payload ?? JSON.stringify(claims);
    if (by === 'none') {
        const jwt = new jose.UnsecuredJWT(claims).encode();
        return jose.base64url.encode(JSON.stringify(header)) + jwt.slice(jwt.indexOf('.'));
    }
    const crit = Object.fromEntries((header.crit ?? []).map((name) => [name, true]));
    const sign = (bytes) => (head, by) => new jose.CompactSign(bytes).setProtectedHeader(head).sign(by, { crit });
    if (by === 'hmac') return sign(text.encode(body))(header, text.encode(JSON.stringify(keys[key].public)));
    if (by === 'encrypt') {
        const { alg, use, ...bare } = keys['std-rs256'].public;
        return new jose.EncryptJWT(claims).setProtectedHeader({ ...header, alg: 'RSA-OAEP-256', enc: 'A256GCM' })
            .encrypt(await jose.importJWK(bare, 'RSA-OAEP-256'));
    }
    const signer = await jose.importJWK(keys[key].private, header.alg);
    if (by === 'nested') return sign(text.encode(await new jose.SignJWT(claims).setProtectedHeader(header).sign(signer)))({ ...header, cty: 'JWT' }, signer);
    if (by === 'raw' || payload) return sign(text.encode(body))(header, signer);
    return new jose.SignJWT(claims).setProtectedHeader(header).sign(signer);
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    const job = JSON.parse(line);
    let answer;
    try {
        answer = job.names ? { keys: await generate(job.names) } : { token: await mint(job) };
    } catch (error) {
        answer = { cannot: String(error.message) };
    }
    console.log(JSON.stringify(answer));
}
