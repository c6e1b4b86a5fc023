// The first chat of `docs/frontend.md` and `chat.html` of the examples, as pages of another origin.
// SESSIOND_EXAMPLES names the directory of the examples.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';

import { Agent, endAgents } from './agent.mjs';
import { Browser, Server, assertAccessible, endAll, until } from './console.mjs';

const SECRET = 'what-signs-the-tokens-of-the-examples';
const SERVER = "'http://127.0.0.1:3000'";
const examples = process.env.SESSIOND_EXAMPLES;
assert.ok(examples, 'SESSIOND_EXAMPLES must name the directory of the examples');

after(async () => {
  await endAll();
  endAgents();
});

/** Serves a page at another origin, and returns its address. The page may be a function, which is asked each time. */
async function serve(t, page) {
  const pages = createServer((request, response) => {
    const found = request.url === '/chat.html';
    response.writeHead(found ? 200 : 204, { 'Content-Type': 'text/html' });
    response.end(found ? page() : undefined);
  });
  await once(pages.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    pages.close();
    pages.closeAllConnections();
  });
  return `http://localhost:${pages.address().port}/chat.html`;
}

/** Returns a text with other addresses. */
function replaced(text, replacements) {
  return replacements.reduce((before, [from, to]) => {
    assert.ok(before.includes(from), from);
    return before.replaceAll(from, to);
  }, text);
}

/** Says something, and returns when the page shows it with the reply. */
async function say(chat, content, lines) {
  await chat.getByLabel('Message').fill(content);
  await chat.getByRole('button', { name: 'Send' }).click();
  await until(async () => (await chat.locator('li').allTextContents()).filter(Boolean).join('|') === lines.join('|'), `${lines.at(-1)}`);
}

test('a page of another origin chats with the client library', async (t) => {
  const server = await Server.start();
  const text = await readFile(process.env.SESSIOND_FRONTEND_DOCUMENT, 'utf8');
  const [, page] = /```html\n(.*?)```/s.exec(text);
  const url = await serve(t, () => replaced(page, [['http://127.0.0.1:3000', server.url]]));
  const browser = await Browser.start();
  const chat = await browser.page(url);
  const lines = () => chat.locator('li').allTextContents();
  for (const [count, words] of [[2, 'Hello.'], [4, '<b>My roses</b> are ill.']]) {
    await chat.getByLabel('Message').fill(words);
    await chat.getByRole('button', { name: 'Send' }).click();
    await until(async () => {
      const shown = await lines();
      return shown.length === count && shown[count - 2] === words && shown[count - 1] !== '…';
    }, 'the reply');
  }
  const { sessions: [session] } = await server.call('GET', '/api/messaging/sessions');
  const { messages } = await server.call('GET', `/api/messaging/sessions/${session.sessionId}/messages`);
  assert.deepEqual(messages.map(({ content }) => content).reverse(), await lines());
  browser.assertNoComplaints();
});

test('the example page streams, stops, resumes after a reload, and shows errors', async (t) => {
  const agent = await Agent.start('Ada');
  const server = await Server.start({}, [agent.file]);
  const turns = [];
  agent.answer = (turn) => turns.push(turn);
  const next = (count) => until(() => turns[count - 1], `turn ${count}`);
  const page = replaced(await readFile(join(examples, 'chat.html'), 'utf8'), [
    [SERVER, `'${server.url}'`], ["AGENT = ''", `AGENT = '${await agent.id(server)}'`],
  ]);
  const url = await serve(t, () => page);
  const browser = await Browser.start();
  const chat = await browser.page(url);
  const shows = (...lines) => until(async () => (await chat.locator('li').allTextContents()).filter(Boolean).join('|') === lines.join('|'), lines.join('|'));
  const stop = chat.getByRole('button', { name: 'Stop' });
  const alert = () => chat.getByRole('alert').textContent();
  await assertAccessible(chat, 'an empty chat');

  await say(chat, '<b>One.</b>', ['You: <b>One.</b>']);
  const one = await next(1);
  one.chunk('<i>Once</i> ');
  await shows('You: <b>One.</b>', 'Agent: <i>Once</i> ');
  await until(() => stop.isEnabled(), 'the reply can be stopped');
  // In the middle of the reply.
  await chat.reload();
  await shows('You: <b>One.</b>', 'Agent: <i>Once</i> ');
  one.chunk('upon ');
  await shows('You: <b>One.</b>', 'Agent: <i>Once</i> upon ');
  await assertAccessible(chat, 'a chat during a reply');
  await stop.click();
  await until(async () => !(await stop.isEnabled()), 'the reply has ended');
  await shows('You: <b>One.</b>', 'Agent: <i>Once</i> upon ');
  assert.equal(await alert(), '');
  assert.equal(await chat.locator('li b, li i').count(), 0, 'words are not markup');

  const before = ['You: <b>One.</b>', 'Agent: <i>Once</i> upon '];
  await say(chat, 'Two.', [...before, 'You: Two.']);
  (await next(2)).refuse(409, { error: { message: 'Not <b>now</b>.' } });
  before.push('You: Two. (Not <b>now</b>.)');
  await shows(...before);
  await assertAccessible(chat, 'a chat with an error');
  await chat.reload();
  await shows(...before);

  // Another tab sees the same, and what it sends.
  const other = await browser.page(chat.url());
  await say(other, 'Three.', [...before, 'You: Three.']);
  await say(chat, 'Four.', [...before, 'You: Three.', 'You: Four.']);
  const three = await next(3);
  three.chunk('I ');
  await shows(...before, 'You: Three.', 'You: Four.', 'Agent: I ');
  three.done('I see.');
  (await next(4)).done('Fourth.');
  const whole = [...before, 'You: Three.', 'You: Four.', 'Agent: I see.', 'Agent: Fourth.'];
  await shows(...whole);
  await other.close();

  // A message that the server refuses can be changed.
  const message = chat.getByLabel('Message');
  const press = () => chat.getByRole('button', { name: 'Send' }).click();
  const long = 'x'.repeat(4001);
  await message.evaluate((input) => input.removeAttribute('maxlength'));
  await message.fill(long);
  await press();
  await until(async () => /4,?000/.test(await alert()), 'the reason is shown');
  assert.equal(await message.inputValue(), long);

  // The server is killed and comes back. What could not be sent stays, and is stored once.
  await server.kill();
  await until(async () => /^Connection lost/.test(await alert()), 'the loss is shown');
  await message.fill('Five.');
  await press();
  await until(async () => /cannot be reached/.test(await alert()), 'the message has failed');
  await server.launch();
  await until(async () => (await alert()) === '', 'the connection is back');
  assert.equal(await message.inputValue(), 'Five.');
  // The answer is lost.
  let isLost = false;
  await chat.route('**/messages', async (route) => {
    await route.fetch();
    isLost = true;
    await route.abort();
  }, { times: 1 });
  await press();
  (await next(5)).done('Fifth.');
  whole.push('You: Five.', 'Agent: Fifth.');
  await shows(...whole);
  assert.ok(isLost);
  await until(async () => (await message.inputValue()) === '', 'it is stored');
  // The same words are another message.
  await say(chat, 'Five.', [...whole, 'You: Five.']);
  (await next(6)).done('Again.');
  whole.push('You: Five.', 'Agent: Again.');
  await shows(...whole);
  const [session] = (await server.call('GET', '/api/messaging/sessions')).sessions;
  const { messages } = await server.call('GET', `/api/messaging/sessions/${session.sessionId}/messages`);
  assert.deepEqual(messages.map(({ content }) => content).reverse(),
    ['<b>One.</b>', '<i>Once</i> upon ', 'Two.', 'Three.', 'Four.', 'I see.', 'Fourth.', 'Five.', 'Fifth.', 'Five.', 'Again.']);

  await server.call('DELETE', `/api/messaging/sessions/${session.sessionId}`);
  await until(async () => (await alert()) === 'This chat has ended.', 'the end');
  const ended = chat.url();
  await Promise.all([chat.waitForEvent('load'), chat.getByRole('link', { name: 'New chat' }).click()]);
  await shows();
  assert.equal(new URL(chat.url()).hash, '');

  await server.kill();
  await chat.goto(ended);
  await chat.reload();
  await until(async () => (await alert()) !== '', 'the failure is shown');
  assert.ok(!(await chat.getByRole('button', { name: 'Send' }).isEnabled()));
});

test('the example page uses the tokens of a back end, also when one has expired', async (t) => {
  const pages = { text: '' };
  const url = await serve(t, () => pages.text);
  const { origin } = new URL(url);
  const server = await Server.start({ JWT_SECRET: SECRET, SESSIOND_ADMIN_TOKEN: 'the-administrator', CORS_ORIGIN: origin });
  const backEnd = spawn(process.execPath, [join(examples, 'tokens.mjs')], {
    env: { JWT_SECRET: SECRET, APP_USER: 'ada', APP_ORIGIN: origin, PORT: '0', TOKEN_SECONDS: '1' }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => backEnd.kill());
  const [line] = await once(createInterface({ input: backEnd.stdout }), 'line');
  const tokens = line.split(' ').at(-1);
  const text = await readFile(join(examples, 'chat.html'), 'utf8');
  pages.text = replaced(text, [[SERVER, `'${server.url}'`], ["TOKENS = ''", `TOKENS = '${tokens}'`]]);

  const browser = await Browser.start();
  const minted = [];
  browser.context.on('response', async (response) => response.url() === tokens && minted.push(await response.text()));
  // The browser logs each refusal; the client then has another token.
  const chat = await browser.page(url, (words) => /status of 401/.test(words));
  const count = () => chat.locator('li').filter({ hasText: /./ }).count();
  const ask = async (content, expected) => {
    await chat.getByLabel('Message').fill(content);
    await chat.getByRole('button', { name: 'Send' }).click();
    await until(async () => (await count()) === expected, `message ${expected}`);
  };
  await ask('Hello.', 2);
  const first = await until(() => minted[0], 'the first token');
  const isRefused = async () => (await fetch(`${server.url}/api/auth/me`, { headers: { Authorization: `Bearer ${first}` } })).status === 401;
  await until(isRefused, 'the token expires');
  await ask('Are you still there?', 4);
  await until(() => minted.length > 1, 'another token');
  await chat.reload();
  await until(async () => (await count()) === 4, 'the chat is resumed');
  assert.equal(await chat.getByRole('alert').textContent(), '');
  assert.ok(browser.requests.every(({ url: address }) => !address.includes('eyJ')), 'no token is in an address');
  browser.assertNoComplaints();
});
