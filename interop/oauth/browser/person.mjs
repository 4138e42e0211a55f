// The user in Chromium: opens URLs, signs in, and consents.
//
//     CHROMIUM=PROGRAM node person.mjs      # reads a URL a line; prints `ready`, and a line of JSON for each
//
// A page with a field for the name is signed in to as alice, and a page with a button is answered by it, until there is neither, or the browser is sent to another origin.
// `{ "url": …, "text": … }` is where the browser then is, without query. Each URL has a browser session of its own.
import readline from 'node:readline';
import { start } from './chromium.mjs';

const SECRET = 'a secret of thirty-two characters';
const NAME = 'input[name=username], input[name=login]';
const YES = '[name=accept], button[value=allow], [type=submit]:not([name=cancel])';

const browser = await start();
async function visit(url) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(15000);
    try {
        await page.goto(url);
        for (let step = 0; step < 8 && new URL(page.url()).origin === new URL(url).origin; step += 1) {
            const name = page.locator(NAME).first();
            const yes = page.locator(YES).first();
            if (await name.count()) {
                await name.fill('alice');
                await page.locator('input[type=password]').first().fill(SECRET);
            } else if (!(await yes.count())) {
                break;
            }
            await Promise.all([page.waitForEvent('load'), yes.click()]);
        }
        const end = new URL(page.url());
        return { url: end.origin + end.pathname, text: (await page.locator('body').innerText()).replace(/\s+/g, ' ').trim().slice(0, 300) };
    } catch (error) {
        return { url: page.url(), text: `${error.name}: ${error.message}` };
    } finally {
        await context.close();
    }
}

console.log('ready');
for await (const line of readline.createInterface({ input: process.stdin })) console.log(JSON.stringify(await visit(line)));
await browser.close();
