// The types of the client library, checked by the published TypeScript compiler, with those of the
// published npm package `ai`.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { OPTIONS, Server, load } from './servers.mjs';

const run = promisify(execFile);
const compiler = join(import.meta.dirname, 'node_modules/typescript/bin/tsc');
const FLAGS = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'ES2023', '--module', 'NodeNext', '--lib', 'ES2023,DOM,DOM.AsyncIterable'];

let server;
let library;

before(async () => {
  server = await Server.start();
  library = await load(server);
});

after(async () => {
  await Promise.all([server.remove(), rm(library.directory, { recursive: true })]);
});

/** Compiles a text beside the modules, and returns what the compiler complains about. */
async function check(text, more = []) {
  const file = join(library.directory, 'usage.ts');
  await writeFile(file, text);
  try {
    await run(process.execPath, [compiler, ...FLAGS, ...more, file], { cwd: import.meta.dirname });
    return '';
  } catch (error) {
    return error.stdout;
  }
}

test('a program that uses every call', OPTIONS, async () => {
  const usage = await readFile(join(import.meta.dirname, 'usage.ts'), 'utf8');
  assert.equal(await check(usage), '');
});

test('the ChatTransport is one of each version of the AI SDK', OPTIONS, async () => {
  const declared = await readFile(join(library.directory, 'chat-transport.d.ts'), 'utf8');
  assert.match(declared, /from 'ai';/);
  await writeFile(join(library.directory, 'chat-transport-7.js'), '');
  await writeFile(join(library.directory, 'chat-transport-7.d.ts'), declared.replaceAll("from 'ai';", "from 'ai-7';"));
  const usage = `
    import type { ChatTransport, UIMessage } from 'ai';
    import { SessiondClient } from './client.js';
    import { SessiondChatTransport, toUIMessages } from './chat-transport.js';
    type Mine = UIMessage<{ createdAt: string }>;
    const client = new SessiondClient({ baseUrl: 'http://127.0.0.1:3000' });
    export const transport: ChatTransport<Mine> = new SessiondChatTransport<Mine>({ client, session: async (chatId) => chatId });
    export const messages: Mine[] = toUIMessages<Mine>((await client.messages('id')).messages);
  `;
  for (const text of [usage, usage.replace("'ai'", "'ai-7'").replace('chat-transport.js', 'chat-transport-7.js')]) {
    // The package's own declarations need types of other packages.
    assert.equal(await check(text, ['--skipLibCheck']), '');
  }
});

test('mistakes are found', OPTIONS, async () => {
  const mistakes = [
    `client.createSession({ agentId: 'a' })`,
    `client.send('id', { content: 'x', transport: 'sse' })`,
    `client.send('id', { content: 1 })`,
    `client.events('id', { since: 1 })`,
    `(await client.send('id', { content: 'x' })).agentResponse`,
    `client.listSessions({ status: 'gone' })`,
    `for await (const { type, data } of client.stream('id', { content: 'x' })) if (type === 'done') data.chunk;`,
  ];
  const lines = ["import { SessiondClient } from './client.js';", 'const client = new SessiondClient();', ...mistakes.map((mistake) => `${mistake};`), ''];
  const found = await check(lines.join('\n'));
  const at = [...found.matchAll(/usage\.ts\((\d+),/g)].map(([, line]) => Number(line) - 3);
  assert.deepEqual([...new Set(at)], mistakes.map((_, index) => index), found);
});
