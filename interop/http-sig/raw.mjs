// HTTP/1.1 messages in files, and the loop of a driver: one JSON object a line in, one out.
import fs from 'node:fs';
import readline from 'node:readline';

const latin1 = (path) => fs.readFileSync(path, 'latin1');

// { start, fields: [name, value][], body }, where a folded value keeps its folds.
function parse(text) {
    const end = text.indexOf('\r\n\r\n');
    const [start, ...lines] = text.slice(0, end).split('\r\n');
    const fields = [];
    for (const line of lines) {
        if (/^[ \t]/.test(line)) fields.at(-1)[1] += `\r\n${line}`;
        else fields.push([line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]);
    }
    return { start, fields, body: text.slice(end + 4) };
}

export const first = (message, name) => message.fields.find(([own]) => own.toLowerCase() === name)?.[1].trim();

// The target URI of a request (RFC 9112 §3.3).
function targetUri(message, scheme) {
    const [method, target] = message.start.split(' ');
    if (target.startsWith('/')) return `${scheme}://${first(message, 'host')}${target}`;
    if (target === '*') return `${scheme}://${first(message, 'host')}`;
    return method === 'CONNECT' ? `${scheme}://${target}` : target;
}

// The messages of a job: { request, response, carrier }, each with what its start line says.
export function read(job) {
    const request = parse(latin1(job.request));
    [request.method, request.target] = request.start.split(' ');
    request.uri = targetUri(request, job.scheme);
    const response = job.response ? parse(latin1(job.response)) : undefined;
    if (response) response.status = Number(response.start.split(' ')[1]);
    return { request, response, carrier: response ?? request };
}

// Writes the message with these lines of the two fields in place of those that it had.
export function write(job, message, added) {
    const rest = message.fields.filter(([name]) => !/^signature(-input)?$/i.test(name));
    const fields = [...rest, ...added].map(([name, value]) => `${name}:${value}`);
    fs.writeFileSync(job.out, `${[message.start, ...fields].join('\r\n')}\r\n\r\n${message.body}`, 'latin1');
}

export const jwk = (job) => JSON.parse(fs.readFileSync(job.key));
export const publicJwk = ({ d, p, q, dp, dq, qi, ...rest }) => rest;

// `cannot` of a driver is an error with this mark: the library says itself that it lacks something.
export class Cannot extends Error {}

export async function serve(operations) {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const job = JSON.parse(line);
        let answer = { outcome: 'ok', why: '' };
        try {
            await operations[job.op](job);
        } catch (error) {
            answer = { outcome: error instanceof Cannot ? 'cannot' : 'refused', why: error.message || error.name };
        }
        console.log(JSON.stringify(answer));
    }
}
