// What a person does in a browser: follows redirects with cookies, fills each form and submits it, until the browser is sent back to the client.
//
//     node browser.mjs URL REDIRECT-URI     # prints where the browser ends up
const FIELDS = { login: 'alice', password: 'any' };

export async function approve(start, redirectUri) {
    const jar = new Map();
    let url = String(start);
    let request = { method: 'GET' };
    for (let step = 0; step < 20; step += 1) {
        if (url.startsWith(redirectUri)) return url;
        const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
        const { origin } = new URL(url);
        const headers = { ...(cookie ? { cookie } : {}), ...(request.method === 'POST' ? { origin, 'content-type': 'application/x-www-form-urlencoded' } : {}) };
        const answer = await fetch(url, { ...request, headers, redirect: 'manual' });
        for (const set of answer.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
            if (value && !/expires=Thu, 01 Jan 1970/i.test(set)) jar.set(name, value);
            else jar.delete(name);
        }
        if (answer.headers.has('location')) {
            url = new URL(answer.headers.get('location'), url).href;
            request = { method: 'GET' };
            continue;
        }
        ({ url, request } = submit(await answer.text(), url, answer.status));
    }
    throw new Error('the browser was sent from page to page');
}

const text = (html) => html.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&#x27;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const attribute = (tag, name) => {
    const found = new RegExp(`\\s${name}=(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(tag);
    return found && text(found[1] ?? found[2] ?? found[3]);
};

// The first form of a page, as the person fills it in: with the button that approves.
function submit(html, page, status) {
    const form = /<form\b[^>]*>[\s\S]*?<\/form>/i.exec(html)?.[0];
    if (!form) throw new Error(`no form in the page ${page} (${status}): ${html.slice(0, 300)}`);
    const open = /<form\b[^>]*>/i.exec(form)[0];
    const fields = new URLSearchParams();
    for (const tag of form.match(/<input\b[^>]*>/gi) ?? []) {
        const name = attribute(tag, 'name');
        if (name && !/type=["']?(submit|checkbox)/i.test(tag)) fields.set(name, attribute(tag, 'value') ?? FIELDS[name] ?? 'any');
        if (name && /type=["']?checkbox/i.test(tag)) fields.append(name, attribute(tag, 'value') ?? 'on');
    }
    const buttons = (form.match(/<button\b[^>]*>/gi) ?? []).filter((tag) => attribute(tag, 'name'));
    const yes = buttons.find((tag) => /allow|approve|accept|yes/i.test(attribute(tag, 'value') ?? '')) ?? buttons[0];
    if (yes) fields.set(attribute(yes, 'name'), attribute(yes, 'value') ?? '');
    const url = new URL(attribute(open, 'action') ?? page, page).href;
    return { url, request: { method: 'POST', body: fields.toString() } };
}

if (process.argv[1].endsWith('browser.mjs')) console.log(await approve(process.argv[2], process.argv[3]));
