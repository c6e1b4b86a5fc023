// Runs the programs of `docs/frontend.md` about the client library, as they stand.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { ELIZA, OPTIONS, Server, jwt, load, until } from './servers.mjs';

const run = promisify(execFile);
const SECRET = 'what-signs-the-tokens-of-these-users';
const document = process.env.SESSIOND_FRONTEND_DOCUMENT;
assert.ok(document, 'SESSIOND_FRONTEND_DOCUMENT must name the document');

let server;
let guarded;
let library;
let section;

before(async () => {
  [server, guarded] = await Promise.all([Server.start(), Server.start({ JWT_SECRET: SECRET, SESSIOND_ADMIN_TOKEN: 'the-administrator' })]);
  library = await load(server);
  const text = await readFile(document, 'utf8');
  [, section] = /\n## The client library\n(.*?)\n## /s.exec(text);
});

after(async () => {
  await Promise.all([server.remove(), guarded.remove(), rm(library.directory, { recursive: true })]);
});

const blocks = (language) => [...section.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block]) => block);

/** The parts of the program, at the addresses of the test. */
function program(replacements) {
  let text = blocks('js').join('\n');
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), from);
    text = text.replaceAll(from, to);
  }
  return text;
}

test('the modules are saved', OPTIONS, async () => {
  const [command] = blocks('sh');
  const directory = await mkdtemp(join(tmpdir(), 'sessiond-modules-'));
  await run('sh', ['-c', command.replaceAll('http://127.0.0.1:3000', server.url)], { cwd: directory });
  assert.deepEqual((await readdir(directory)).sort(), ['client.d.ts', 'client.js']);
  for (const name of ['client.d.ts', 'client.js']) {
    assert.equal(await readFile(join(directory, name), 'utf8'), await readFile(join(library.directory, name), 'utf8'));
  }
  await rm(directory, { recursive: true });
});

test('the programs run', OPTIONS, async (t) => {
  const userId = randomUUID();
  const backEnd = createServer((_, response) => response.end(jwt(SECRET, userId)));
  await once(backEnd.listen(0, '127.0.0.1'), 'listening');
  t.after(() => backEnd.close());
  const text = program([
    // The user's token is for a server that requires one.
    ["user = new SessiondClient({\n  baseUrl: 'http://127.0.0.1:3000'", `user = new SessiondClient({\n  baseUrl: '${guarded.url}'`],
    ['http://127.0.0.1:3000', server.url],
    ['https://app.example', `http://127.0.0.1:${backEnd.address().port}`],
  ]);
  const file = join(library.directory, 'program.mjs');
  const names = 'agent, agentResponse, client, history, leaving, listening, shown, transport, user';
  await writeFile(file, `const lines = [];\nconst console = { log: (...line) => lines.push(line) };\n${text}\nexport { lines, ${names} };`);
  const { lines, agent, agentResponse, history, leaving, listening, shown, transport, user } = await import(file);

  assert.equal(agent.id, ELIZA);
  assert.equal(lines[0][0], agentResponse.text);
  const said = (start) => lines.filter(([first]) => String(first).startsWith(start));
  assert.equal(said('The reply').length, 1);
  assert.ok(said('So far:').length > 0);
  assert.ok(lines.some(([line]) => line.role === 'user' && line.userId === userId));
  const [[, failure]] = lines.filter(([, fields]) => fields?.status);
  assert.deepEqual([failure.status, failure.code, failure.retryable], [400, 'VALIDATION_ERROR', false]);
  assert.equal((await user.me()).role, 'user');

  await until(() => shown.length === 6, 'the last reply is shown');
  assert.equal(shown[4], 'Are you still there?');
  leaving.abort();
  await listening;

  assert.ok(history.length >= 5);
  const messages = [{ id: 'first', role: 'user', parts: [{ type: 'text', text: 'Hello!' }] }];
  const chunks = [];
  for await (const chunk of await transport.sendMessages({ trigger: 'submit-message', chatId: 'a-chat', messages })) chunks.push(chunk.type);
  assert.deepEqual([chunks[0], chunks.at(-1)], ['start', 'finish']);
});
