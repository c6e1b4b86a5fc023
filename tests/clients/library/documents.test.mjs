// Runs the programs of `docs/frontend.md`, as they stand. Those of other npm packages run with the
// tests of these packages, and the page of the first chat with those of the console.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { createServer } from 'vite';

import { ELIZA, OPTIONS, Server, load, start, until } from './servers.mjs';

const run = promisify(execFile);
const SECRET = 'what-signs-the-tokens-of-these-users';
const AsyncFunction = (async () => {}).constructor;
const PAGE = 'http://localhost:8000';
const document = process.env.SESSIOND_FRONTEND_DOCUMENT;
assert.ok(document, 'SESSIOND_FRONTEND_DOCUMENT must name the document');

let text;
let server;
let library;

before(async () => {
  text = await readFile(document, 'utf8');
  const [settings] = blocks('ini');
  const [, secret, admin] = settings.split('…');
  assert.ok(secret && admin, settings);
  const dotEnv = settings.replace('…', SECRET).replace('…', 'the-administrator-of-this-server');
  // Tests listen on loopback only.
  server = await Server.start({ dotEnv, SERVER_HOST: '127.0.0.1' });
  library = await load(server);
});

after(async () => {
  await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
});

/** Returns the blocks of a section, or of the document. */
function blocks(language, title) {
  const section = title ? new RegExp(`\\n(#+) ${title}\\n(.*?)(?=\\n## |\\n\\1 |$)`, 's').exec(text)[2] : text;
  return [...section.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block]) => block);
}

/** Returns a text at the addresses of the test. */
function replaced(program, replacements) {
  return replacements.reduce((before, [from, to]) => {
    assert.ok(before.includes(from), from);
    return before.replaceAll(from, to);
  }, program);
}

/** Calls the API as a page of the development server does. */
const asPage = (url, { headers, ...init } = {}) => fetch(url, { ...init, headers: { ...headers, Origin: PAGE } });

test('the modules are saved', OPTIONS, async () => {
  const [command] = blocks('sh', 'Install');
  const directory = await mkdtemp(join(tmpdir(), 'sessiond-modules-'));
  await run('sh', ['-c', command.replaceAll('http://127.0.0.1:3000', server.url)], { cwd: directory });
  assert.deepEqual((await readdir(directory)).sort(), ['client.d.ts', 'client.js']);
  for (const name of ['client.d.ts', 'client.js']) {
    assert.equal(await readFile(join(directory, name), 'utf8'), await readFile(join(library.directory, name), 'utf8'));
  }
  await rm(directory, { recursive: true });
});

test('the server answers pages of the origins that the settings name', OPTIONS, async () => {
  for (const [origin, status] of [[PAGE, 401], ['https://app.example', 401], ['https://attacker.example', 403]]) {
    assert.equal((await fetch(`${server.url}/api/agents`, { headers: { Origin: origin } })).status, status, origin);
  }
});

test('the tokens of the back end are accepted', OPTIONS, async (t) => {
  const [program] = blocks('js', 'Tokens');
  const file = join(library.directory, 'mint.mjs');
  await writeFile(file, program);
  process.env.JWT_SECRET = SECRET;
  t.after(() => delete process.env.JWT_SECRET);
  const { mint } = await import(file);
  const users = ['ada', 'eve'].map((user) => new library.SessiondClient({ baseUrl: server.url, token: () => mint(user) }));
  const [ada, eve] = await Promise.all(users.map((user) => user.me()));
  assert.deepEqual([ada.role, eve.role], ['user', 'user']);
  assert.notEqual(ada.userId, eve.userId);
  // What the document says that the server replies.
  assert.ok(text.includes(`# ${JSON.stringify(ada)}\n`), JSON.stringify(ada));
});

test('a page calls through the proxy of a development server', OPTIONS, async (t) => {
  const [program] = blocks('js', 'Your page’s origin'.replace('’', "'"));
  const root = await mkdtemp(join(library.directory, 'vite-'));
  await writeFile(join(root, 'vite.config.js'), replaced(program, [['https://chat.example', server.url]]));
  // The origin of this one is not among the server's.
  const vite = await createServer({ root, logLevel: 'error', server: { host: '127.0.0.1', port: 0 } });
  t.after(() => vite.close());
  await vite.listen();
  const origin = `http://127.0.0.1:${vite.httpServer.address().port}`;
  const headers = { 'Content-Type': 'application/json', Origin: origin, Authorization: 'Bearer the-administrator-of-this-server' };
  assert.equal((await fetch(`${server.url}/api/agents`, { headers })).status, 403, 'without the proxy');
  const user = new library.SessiondClient({ baseUrl: origin, headers });
  const { sessionId } = await user.createSession({ agentId: ELIZA, userId: crypto.randomUUID() });
  const types = [];
  for await (const { type } of user.stream(sessionId, { content: 'Hello.' })) types.push(type);
  assert.deepEqual([types[0], types.at(-1)], ['user_message', 'done']);
});

test('the page shows no draft of a reply that failed', OPTIONS, async () => {
  const [program] = blocks('js', 'Events and resuming');
  const lines = [];
  const fake = {
    messages: async () => ({ messages: [] }),
    send: async () => {},
    async *events() {
      yield { type: 'state', data: { partial: { text: 'Once' } } };
      yield { type: 'messageStreamChunk', data: { text: 'Once upon' } };
      yield { type: 'messageStreamError', data: { error: 'It failed.', reason: 'unavailable' } };
    },
  };
  const page = new AsyncFunction('client', 'sessionId', 'console', `${program}\nawait listening;\nreturn draft;`);
  assert.equal(await page(fake, 'id', { log: (...line) => lines.push(line) }), '');
  assert.deepEqual(lines, [['No reply:', 'It failed.']]);
});

test('the programs run', OPTIONS, async (t) => {
  const backEnd = start('node', 'tokens.mjs', { JWT_SECRET: SECRET, APP_USER: 'ada', APP_ORIGIN: PAGE, PORT: '0' });
  t.after(() => backEnd.stop());
  const [, tokens] = await backEnd.find(/: (http\S+)\n/);
  const program = replaced(blocks('js', 'The client library').join('\n'), [
    ["'sessiond/", "'./"], ["/client'", "/client.js'"], ["/chat-transport'", "/chat-transport.js'"],
    ['https://chat.example', server.url], ['http://localhost:8001/token', tokens],
  ]);
  const file = join(library.directory, 'program.mjs');
  const names = 'agent, agentResponse, client, edit, history, leaving, listening, search, sessionId, shown, steps, transport, userId';
  globalThis.asPage = asPage;
  t.after(() => delete globalThis.asPage);
  // A page's requests name its origin.
  const page = 'const fetch = globalThis.asPage;\nconst lines = [];\nconst console = { log: (...line) => lines.push(line) };\n';
  await writeFile(file, `${page}${program}\nexport { lines, ${names} };`);
  const made = await import(file);
  const { lines, agent, agentResponse, client, history, leaving, listening, sessionId, shown, transport, userId } = made;

  assert.equal(agent.id, ELIZA);
  assert.equal(lines[0][0], agentResponse.text);
  const said = (start) => lines.filter(([first]) => String(first).startsWith(start));
  assert.equal(said('The reply').length, 1);
  assert.ok(said('So far:').length > 0);
  assert.deepEqual(await client.me(), { role: 'user', userId });
  const [[, failure]] = lines.filter(([, fields]) => fields?.status);
  assert.deepEqual([failure.status, failure.code, failure.retryable], [400, 'VALIDATION_ERROR', false]);

  await until(() => shown.length === 6, 'the last reply is shown');
  assert.equal(shown[4], 'Are you still there?');
  leaving.abort();
  await listening;

  assert.ok(history.length >= 5);
  const messages = [{ id: 'first', role: 'user', parts: [{ type: 'text', text: 'Hello!' }] }];
  const chunks = [];
  for await (const chunk of await transport.sendMessages({ trigger: 'submit-message', chatId: 'a-chat', messages })) chunks.push(chunk.type);
  assert.deepEqual([chunks[0], chunks.at(-1)], ['start', 'finish']);

  const session = await client.getSession(sessionId);
  const before = (await client.messages(sessionId)).messages.toReversed();
  await made.edit(client, session, before[2], 'I need a garden.');
  await made.edit(client, session, before[0], 'Good evening!');
  const { sessions } = await client.listSessions({ userId });
  const contents = async (index) => (await client.messages(sessions[index].sessionId)).messages.map(({ content }) => content).reverse();
  assert.deepEqual((await contents(1)).slice(0, 3), [before[0].content, before[1].content, 'I need a garden.']);
  assert.equal((await contents(0))[0], 'Good evening!');
  const found = [];
  for await (const { content } of made.search(client, 'i need a')) found.push(content);
  assert.ok(found.includes('I need a garden.') && found.includes('I need a vacation.'), found);
});
