// The consent page of `aims authority serve --dev-user`, as Chromium shows it.
//
//     AIMS=PROGRAM CHROMIUM=PROGRAM node consent.mjs      # prints rows for `aims-interop-oauth browser`
//
// The sites: the authority and the client on 127.0.0.1; an attacker on localhost, which is another site to a browser, and one on another port of 127.0.0.1, which is the same
// site and another origin: browsers send cookies there, whatever `SameSite` says.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import http from 'node:http';
import { attempt, part, row } from './steps.mjs';
import { start } from './chromium.mjs';

const TOOL = 'http://127.0.0.1:9/mcp';
const HOSTILE = '</dd><script>document.title="taken"</script><img src=x onerror="document.title=`taken`">\u202etxt';
const FORM = 'the form of the consent page was refused: ';

const listen = (answer, host) => new Promise((resolve) => {
    const server = http.createServer(answer);
    server.listen(0, host, () => resolve(server.address().port));
});

// The client: it notes how browsers come back.
const back = [];
const clientPort = await listen((request, response) => {
    if (request.url.startsWith('/callback')) back.push({ query: new URL(request.url, 'http://client').searchParams, headers: request.headers });
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><form>back at the client</form>');
}, '127.0.0.1');
const REDIRECT = `http://127.0.0.1:${clientPort}/callback`;

// The attacker: a page that the test fills.
const attacker = (_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>attacker</title><body><p>attacker</p>');
};
const otherSite = `http://localhost:${await listen(attacker, 'localhost')}/`;
const otherPort = `http://127.0.0.1:${await listen(attacker, '127.0.0.1')}/`;

// The authority, and the reasons of its refusals.
const authority = spawn(process.env.AIMS, [
    'authority', 'serve', '--listen', '127.0.0.1:0', '--trust-domain', 'example.org', '--resource', `${TOOL} call`, '--dev-user', 'alice',
    '--client', `cli ${REDIRECT}`, '--dynamic-registration',
], { stdio: ['ignore', 'pipe', 'pipe'] });
const end = () => authority.kill();
process.on('exit', end);
const lines = (stream, take) => {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text) => {
        const all = (rest + text).split('\n');
        rest = all.pop();
        all.forEach(take);
    });
};
const log = [];
lines(authority.stderr, (line) => log.push(line));
const AS = await new Promise((resolve, reject) => {
    lines(authority.stdout, (line) => line.startsWith('issuer') && resolve(line.split(/\s+/)[1]));
    authority.on('exit', () => reject(new Error(`the authority ended: ${log.join(' ')}`)));
});
// The reason that the authority has logged since a moment. The line may come after the answer.
const reason = async (since) => {
    for (let tries = 0; tries < 50; tries += 1) {
        const found = log.slice(since).map((line) => / reason=(.*)/.exec(line)?.[1]).find(Boolean);
        if (found) return found.replace(FORM, '');
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return 'nothing logged';
};

const verifier = crypto.randomBytes(32).toString('base64url');
const challenge = crypto.createHash('sha256').update(verifier).digest('base64url');
const authorization = (more = {}) => `${AS}/authorize?${new URLSearchParams({
    response_type: 'code', client_id: 'cli', redirect_uri: REDIRECT, scope: 'call', state: 'a-state', code_challenge: challenge,
    code_challenge_method: 'S256', resource: TOOL, ...more,
})}`;
const exchange = async (code, more = {}) => (await fetch(`${AS}/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'cli', code, redirect_uri: REDIRECT, code_verifier: verifier, resource: TOOL, ...more }),
})).json();

const browser = await start();
const user = async () => {
    const context = await browser.newContext();
    return { context, page: await context.newPage() };
};
// The form of a consent page, and how it is sent: with these values, by the button.
const form = (page) => page.evaluate(() => Object.fromEntries(new FormData(document.forms[0])));
const send = async (page, values = {}, decision = 'allow') => {
    await page.evaluate((all) => {
        for (const [name, value] of Object.entries(all)) {
            const input = document.forms[0].elements.namedItem(name);
            if (value === null) input.remove();
            else input.value = value;
        }
    }, values);
    const since = log.length;
    const [answer] = await Promise.all([
        page.waitForResponse((it) => it.request().method() === 'POST'),
        page.waitForURL((it) => it.pathname !== '/authorize'),
        page.locator(`button[value=${decision}]`).click(),
    ]);
    return answer.status() === 303 ? `303 to ${new URL(page.url()).pathname}` : `${answer.status()} ${await reason(since)}`;
};
const approved = () => `303 to ${new URL(REDIRECT).pathname}`;

part(`the page, in Chromium ${browser.version()}`);
const { context, page } = await user();
const violations = [];
page.on('console', (message) => message.type() === 'error' && violations.push(message.text()));
const shown = await page.goto(authorization());
const fields = await shown.allHeaders();
const policy = Object.fromEntries(fields['content-security-policy'].split('; ').map((it) => [it.split(' ')[0], it.split(' ').slice(1).join(' ')]));
row('authorize shows the consent page', '200 alice', `${shown.status()} ${await page.locator('strong').textContent()}`);
row('CSP: nothing is loaded but what is named', "'none'", policy['default-src']);
row('CSP: no source for scripts is named', 'none', Object.keys(policy).some((it) => it.startsWith('script-src')) ? policy['script-src'] : 'none');
row('CSP: nobody frames it', "'none'", policy['frame-ancestors']);
row('X-Frame-Options, for old browsers', 'DENY', fields['x-frame-options']);
row('Referrer-Policy', 'no-referrer', fields['referrer-policy']);
row('no cache keeps it', 'no-store', fields['cache-control']);
row('its own style is applied', '640px', await page.evaluate(() => getComputedStyle(document.body).maxWidth));
row('the browser reports nothing', '0 reports', `${violations.length} reports ${violations.join(' ')}`);
const [cookie, ...others] = await context.cookies();
row('one cookie, HttpOnly, SameSite, until the browser ends', 'true Lax -1 alone', `${cookie.httpOnly} ${cookie.sameSite} ${cookie.expires} ${others.length ? 'with others' : 'alone'}`);
row('a script in the page would not see it', "''", `'${await page.evaluate(() => document.cookie)}'`);
row('a script that gets into the page does not run', 'blocked', await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = "it ran"';
    document.body.append(script);
    return window.ran ?? 'blocked';
}));
row('nor a handler', 'blocked', await page.evaluate(() => {
    const element = document.createElement('div');
    element.setAttribute('onclick', 'window.handled = "it ran"');
    document.body.append(element);
    element.click();
    return window.handled ?? 'blocked';
}));
await page.goto(authorization());
const first = await form(page);
await attempt('the user allows: back to the client', approved(), () => send(page));
const { query, headers } = back.at(-1) ?? { query: new URLSearchParams(), headers: {} };
row('with code, state and the issuer', `true a-state ${AS}`, `${query.has('code')} ${query.get('state')} ${query.get('iss')}`);
row('the client is not told where the browser was', 'no referer', headers.referer ?? 'no referer');
await attempt('the code and the verifier get a token', 'Bearer call', async () => {
    const got = await exchange(query.get('code'));
    return `${got.token_type} ${got.scope} ${got.error ?? ''}`.trim();
});
await page.goto(authorization());
await attempt('the user denies: back to the client', approved(), () => send(page, {}, 'deny'));
row('with the error, and no code', 'access_denied no code', `${back.at(-1)?.query.get('error')} ${back.at(-1)?.query.has('code') ? 'a code' : 'no code'}`);

part('text of a client');
const registered = await (await fetch(`${AS}/register`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: HOSTILE, redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' }),
})).json();
const details = JSON.stringify([{ type: 'aims_tool', locations: [TOOL], actions: [`</pre>${HOSTILE}`] }]);
const loaded = [];
page.on('request', (request) => loaded.push(request.url()));
await page.goto(authorization({ client_id: registered.client_id, authorization_details: details }));
row('only the page itself is loaded', '1', loaded.length);
row('its name makes no script, picture or title', '0 0 Authorize an agent', await page.evaluate(() => `${document.scripts.length} ${document.images.length} ${document.title}`));
const named = page.locator('dt', { hasText: 'Name' });
row('its name is marked', 'Name that it gives itself (unverified)', await named.textContent());
const visible = HOSTILE.replace('\u202e', '\\u{202e}');
row('and shown as the text that it is', visible, await named.locator('xpath=following-sibling::dd[1]').textContent());
row('so are the authorization details', 'true', (await page.locator('pre').textContent()).includes(JSON.stringify(`</pre>${visible}`).replace('\\\\u{', '\\u{')));
row('a warning stands above the button', 'The operator has not checked this program.', await page.locator('.warning').textContent());

part('another site');
for (const [name, url] of [['another site', otherSite], ['another port', otherPort]]) {
    const { context: victims, page: hostile } = await user();
    const own = await victims.newPage();
    await own.goto(authorization());
    const taken = await form(own);
    await hostile.goto(url);
    const framed = async (from) => {
        await hostile.goto(url);
        await hostile.evaluate((src) => new Promise((resolve) => {
            const frame = document.createElement('iframe');
            frame.onload = () => resolve();
            frame.src = src;
            document.body.append(frame);
        }), from);
        const frame = hostile.frames().at(-1);
        // A page that the browser refuses to show commits after `load` of the frame.
        for (let tries = 0; tries < 100 && ['', 'about:blank'].includes(frame.url()); tries += 1) await hostile.waitForTimeout(50);
        return `${new URL(frame.url()).protocol} ${(await frame.locator('form').count()) ? 'a form' : 'no form'}`;
    };
    await attempt(`${name} frames a page with a form that allows it`, 'http: a form', () => framed(REDIRECT.replace('/callback', '/')));
    await attempt(`${name} frames the consent page`, 'chrome-error: no form', () => framed(authorization()));
    // Even with the secrets of the page, which the attacker cannot read.
    const post = async (policy) => {
        await hostile.goto(url);
        const since = log.length;
        const [answer] = await Promise.all([
            hostile.waitForResponse((it) => it.request().method() === 'POST'),
            hostile.waitForURL(`${AS}/consent`),
            hostile.evaluate(([action, fields, referrer]) => {
                document.head.insertAdjacentHTML('beforeend', `<meta name="referrer" content="${referrer}">`);
                const made = document.createElement('form');
                Object.assign(made, { method: 'post', action });
                for (const [n, value] of Object.entries(fields)) made.append(Object.assign(document.createElement('input'), { name: n, value, type: 'hidden' }));
                document.body.append(made);
                made.submit();
            }, [`${AS}/consent`, { ...taken, decision: 'allow' }, policy]),
        ]);
        return `${answer.status()} ${await reason(since)}`;
    };
    const before = back.length;
    const refused = '403 the browser says that another site sent the form';
    await attempt(`${name} posts the form, with the right secrets`, refused, () => post('unsafe-url'));
    await attempt(`${name} does so without saying who it is`, refused, () => post('no-referrer'));
    await attempt(`${name} does so by a script, with credentials`, refused, async () => {
        await hostile.goto(url);
        const since = log.length;
        const [answer] = await Promise.all([
            hostile.waitForResponse((it) => it.request().method() === 'POST'),
            hostile.evaluate(([action, fields]) => fetch(action, {
                method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(fields),
            }).catch(() => undefined), [`${AS}/consent`, { ...taken, decision: 'allow' }]),
        ]);
        return `${answer.status()} ${await reason(since)}`;
    });
    row('nothing came to the client of that', '0', back.length - before);
    await attempt('the page itself still allows', approved(), () => send(own));
    await victims.close();
}

part('the form');
const opened = async (by = page) => {
    await by.goto(authorization());
    return form(by);
};
const one = await opened();
await opened();
await attempt('the anti-CSRF token of another request', '403 the anti-CSRF token belongs to another page', () => send(page, { csrf: one.csrf }));
await opened();
await attempt('no anti-CSRF token', '403 no anti-CSRF token', () => send(page, { csrf: null }));
const stranger = await user();
const theirs = await opened(stranger.page);
await opened();
await attempt('request and token of another session', '403 the page belongs to another session', () => send(page, theirs));
await opened();
await context.clearCookies();
await attempt('the cookie is gone', '403 no session cookie, or several', () => send(page));
await opened();
const used = await form(page);
await attempt('the page allows', approved(), () => send(page));
await opened();
await attempt('the same form again', '403 the request has ended, was decided, or is not known', () => send(page, used));
await opened();
await attempt('the same form again, to deny', '403 the request has ended, was decided, or is not known', () => send(page, first, 'deny'));
const many = await opened();
await attempt('the form eight times at once', '1 allowed, 7 refused', async () => {
    const [session] = await context.cookies();
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(`${AS}/consent`, {
        method: 'POST', redirect: 'manual', body: new URLSearchParams({ ...many, decision: 'allow' }),
        headers: { cookie: `${session.name}=${session.value}`, origin: AS, 'sec-fetch-site': 'same-origin' },
    })));
    const allowed = answers.filter((it) => it.headers.get('location')?.includes('code='));
    return `${allowed.length} allowed, ${answers.filter(({ status }) => status === 403).length} refused`;
});
await browser.close();
process.exit(0);
