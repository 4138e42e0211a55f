// What both clients of `interop/run live` share: rows of the table, and calls of the guarded tool.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';

// A row that `live.rs` reads. `part` begins a new part of the table.
export const row = (step, expected, seen) => console.log(JSON.stringify({ step, expected, seen: String(seen) }));
export const part = (title) => console.log(JSON.stringify({ part: title }));

// The status of an answer of the tool, with the code of a refusal. The test server states the code; a real tool keeps it in its log.
export const told = (answer) => {
    const code = answer.headers.get('refusal-code');
    return code ? `${answer.status} ${code}` : String(answer.status);
};

export const call = async (url, token, { scheme = 'Bearer', fields = {}, ...options } = {}) => {
    const headers = { ...(token ? { authorization: `${scheme} ${token}` } : {}), ...fields };
    return told(await fetcher(options)(url, { method: 'POST', headers, body: 'x' }));
};

// A `fetch` that presents a client certificate: that of node has no way to.
export const fetcher = ({ certificate } = {}) => (certificate ? byCertificate(certificate) : fetch);
const byCertificate = (name) => (url, { method = 'GET', headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const pem = (file) => fs.readFileSync(`${process.env.TLS}/${file}`);
    const by = String(url).startsWith('https:') ? https : http;
    const request = by.request(String(url), {
        method, headers: Object.fromEntries(new Headers(headers)), agent: false,
        ca: pem('ca.pem'), cert: pem(`${name}.pem`), key: pem(`${name}.key`),
    }, async (answer) => {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        const content = [204, 304].includes(answer.statusCode) ? null : Buffer.concat(chunks);
        resolve(new Response(content, { status: answer.statusCode, headers: Object.entries(answer.headers).flatMap(([k, v]) => [v].flat().map((it) => [k, it])) }));
    });
    request.on('error', reject);
    request.end(body === undefined || body === null ? undefined : String(body));
});

// Runs one step whose error is a row too.
export const attempt = async (step, expected, run) => {
    try {
        row(step, expected, await run());
    } catch (error) {
        row(step, expected, `${error.code ?? error.name}: ${error.message} ${error.cause?.message ?? ''}`);
    }
};
