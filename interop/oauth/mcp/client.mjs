// The client of npm @modelcontextprotocol/sdk, which knows the URL of an MCP server and nothing else.
//
//     MCP=http://…/mcp [FORECAST=text] node client.mjs
//
// FORECAST is what the tool that calls on must answer; the client's identifier is left out of it.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { approve } from './browser.mjs';
import { attempt, part, row } from './steps.mjs';

const { MCP, FORECAST, AT } = process.env;
const REDIRECT = 'http://127.0.0.1:9/callback'; // nothing listens there: the browser stops before it

// The state that every program keeps for the SDK; what it does with it is the SDK's own.
class Session {
    redirectUrl = REDIRECT;
    asked = []; // the authorization requests
    clientMetadata = { client_name: 'interop', redirect_uris: [REDIRECT], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none', application_type: 'native' };
    clientInformation() { return this.client; }
    saveClientInformation(client) { this.client = client; }
    tokens() { return this.held; }
    // With a refresh token the SDK answers `insufficient_scope` by a refresh, which gives no further scope. So this program keeps none.
    saveTokens({ refresh_token, ...tokens }) { this.held = tokens; }
    redirectToAuthorization(url) { this.asked.push(url); }
    saveCodeVerifier(verifier) { this.verifier = verifier; }
    codeVerifier() { return this.verifier; }
}

const session = new Session();
let transport;
const connect = async () => {
    transport = new StreamableHTTPClientTransport(new URL(MCP), { authProvider: session });
    const client = new Client({ name: 'interop', version: '1' });
    await client.connect(transport);
    return client;
};
// Sends the user to the authorization server, as the SDK asked, and hands the code over.
const authorize = async () => {
    const back = new URL(await approve(session.asked.at(-1), REDIRECT));
    if (back.searchParams.has('error')) throw new Error(back.search);
    await transport.finishAuth(back.searchParams.get('code'));
};
const said = (answer) => (answer.isError ? 'error' : answer.content.map(({ text }) => text).join(' '));

part(`npm @modelcontextprotocol/sdk, which knows only the URL; ${AT}`);
await attempt('without a token it is sent to the authorization server', 'UnauthorizedError', async () => {
    try {
        return await connect();
    } catch (error) {
        return error instanceof UnauthorizedError ? 'UnauthorizedError' : `${error.name}: ${error.message}`;
    }
});
row('it registered itself', 'true', Boolean(session.client?.client_id));
const first = session.asked.at(-1).searchParams;
row('it asks with PKCE', 'S256', first.get('code_challenge_method'));
row('for this server', MCP, first.get('resource'));
row('with the scope of the challenge', 'tools:call', first.get('scope'));
await authorize();
const client = await connect();
const names = (await client.listTools()).tools.map(({ name }) => name).sort().join(' ');
row('it lists the tools', 'forecast reset who', names);
await attempt('it calls a tool', 'alice', async () => said(await client.callTool({ name: 'who', arguments: {} })));
if (FORECAST) await attempt('it calls a tool that calls on', FORECAST, async () => said(await client.callTool({ name: 'forecast', arguments: {} })).replace(session.client.client_id, 'the client'));
const before = session.asked.length;
await attempt('a tool that needs another scope', 'UnauthorizedError', async () => {
    try {
        return said(await client.callTool({ name: 'reset', arguments: {} }));
    } catch (error) {
        return error instanceof UnauthorizedError ? 'UnauthorizedError' : `${error.name}: ${error.message}`;
    }
});
row('it asks once more, for more', 'true', session.asked.length > before && session.asked.at(-1).searchParams.get('scope').includes('tools:admin'));
await authorize();
await attempt('it steps up, and calls that tool', 'reset by alice', async () => said(await (await connect()).callTool({ name: 'reset', arguments: {} })));
process.exit(0);
