// The reference of the API: finding operations, trying them, and copying calls that work.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Browser, ELIZA, Server, assertAccessible, endAll, picture, until } from './console.mjs';

const run = promisify(execFile);
const TOKEN = 'a-token-of-the-reference-tests';
const SCRIPT = '<img src=x onerror="window.hacked = true">';

/** Text that is special for shells, JavaScript, Python, JSON or HTML. */
const HOSTILE = `'; echo "x" \`id\` $HOME \\n \\' '''"""\u2028 é 😀 {{}} </script> True null`;

let server;
let guarded;

before(async () => {
  server = await Server.start();
  guarded = await Server.start({ ELIZA_SERVER_AUTH_TOKEN: TOKEN, SESSIOND_ADMIN_TOKEN: `${TOKEN}-admin` });
});
after(endAll);

const is401 = (text) => text.includes('401');

/** Opens the reference, with a token in the tab. */
async function open(browser, { of = server, at = '', token, expected } = {}) {
  if (token) await browser.context.addInitScript((value) => sessionStorage.setItem('sessiond.token', value), token);
  const page = await browser.page(`${of.url}/docs${at}`, expected ?? is401);
  await page.locator('#listSessions').waitFor();
  return page;
}

const openAll = (page) => page.locator('.operation').evaluateAll((elements) => elements.forEach((element) => { element.open = true; }));

const panelOf = (page, id) => page.locator(`#${id} form`);

/** The text of the snippet in a language. */
async function snippet(panel, language) {
  await panel.getByRole('button', { name: language }).click();
  return panel.getByRole('group', { name: 'Call' }).textContent();
}

async function send(page, id) {
  await panelOf(page, id).getByRole('button', { name: 'Send' }).click();
}

async function confirm(page) {
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
}

/** Waits for a response of this status, and returns its body. */
async function response(page, id, status) {
  const panel = panelOf(page, id);
  await until(async () => (await panel.getByRole('status').textContent()).startsWith(`${status} `) && !(await panel.getByRole('button', { name: 'Stop' }).isVisible()), `status ${status}`);
  return panel.getByRole('group', { name: 'Response' }).textContent();
}

test('operations are closed until a link or a click opens them', async () => {
  const browser = await Browser.start();
  const page = await open(browser, { at: '#createSession' });
  const isOpen = (id) => page.locator(`#${id}`).evaluate((element) => element.open);
  await panelOf(page, 'createSession').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.parentElement.id), 'createSession');
  assert.ok(await page.locator('#createSession').evaluate((element) => Math.abs(element.getBoundingClientRect().top) < 60));
  assert.equal(await page.locator('.operation[open]').count(), 1);

  const contents = page.getByRole('navigation', { name: 'Contents' });
  await contents.getByRole('link', { name: 'Renew a session' }).click();
  await until(() => isOpen('renewSession'), 'the opened operation');
  await page.keyboard.press('Enter');
  await until(async () => !(await isOpen('renewSession')), 'the closed operation');
  await contents.getByRole('link', { name: 'Renew a session' }).click();
  await until(() => isOpen('renewSession'), 'the operation that is opened again by the same link');

  await page.getByRole('link', { name: 'Skip to the content' }).press('Enter');
  assert.equal(await page.locator('.operation[open]').count(), 2, 'other links open nothing');
  browser.assertNoComplaints();
});

test('the filter finds operations by path, summary, id, description and tag, and survives a reload', async () => {
  const browser = await Browser.start();
  const page = await open(browser);
  const filter = page.getByRole('searchbox', { name: 'Filter' });
  const shown = () => page.locator('.operation:visible').evaluateAll((elements) => elements.map(({ id }) => id));
  for (const [text, ids] of [
    ['/healthz', ['getLiveness']], ['independent AUTORENEW', ['renewSession']], ['listAgentTurns', ['listAgentTurns']],
    ['subscribers receive', ['updateSession']], ['delete messaging', ['deleteUserSessions', 'deleteSession']],
  ]) {
    await filter.fill(text);
    await until(async () => JSON.stringify(await shown()) === JSON.stringify(ids), text);
  }
  await filter.fill('agents');
  assert.ok((await shown()).includes('submitMessage'), 'by tag');
  await page.reload();
  await page.locator('.operation').first().waitFor({ state: 'attached' });
  assert.equal(await filter.inputValue(), 'agents');
  assert.ok(!(await shown()).includes('renewSession'));
  assert.equal(await page.getByRole('navigation', { name: 'Contents' }).getByRole('link', { name: 'Renew a session' }).count(), 0);

  await page.evaluate(() => { location.hash = '#renewSession'; });
  await panelOf(page, 'renewSession').waitFor();
  assert.equal(await filter.inputValue(), '', 'a link to a hidden operation clears the filter');
  await filter.fill('zzzz');
  await page.getByText('Nothing matches.').waitFor();
  await assertAccessible(page, 'nothing found');
  browser.assertNoComplaints();
});

test('the calls work as they are copied: in a shell, in JavaScript and in Python', async () => {
  const { sessionId } = await server.create();
  const browser = await Browser.start({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await open(browser, { at: '#sendSessionMessage' });
  const panel = panelOf(page, 'sendSessionMessage');
  await until(async () => (await panel.getByRole('textbox', { name: 'sessionId' }).inputValue()) === sessionId, 'the newest session');
  const directory = mkdtempSync(join(tmpdir(), 'sessiond-docs-'));
  const body = { content: HOSTILE, transport: 'websocket', metadata: { __proto__name: 1, nested: [true, false, null, 1.5, 'True'] } };
  const text = JSON.stringify(body, undefined, 2).replace('__proto__name', '__proto__');
  await panel.getByRole('textbox', { name: 'Body' }).fill(text);

  const programs = { curl: ['sh', 'call.sh'], fetch: ['node', 'call.mjs'] };
  if (await run('python3', ['-c', 'import requests']).then(() => true, () => false)) programs.Python = ['python3', 'call.py'];
  for (const [language, [program, name]] of Object.entries(programs)) {
    await panel.getByRole('button', { name: language }).click();
    await panel.getByRole('button', { name: 'Copy' }).click();
    await page.locator('.notice', { hasText: 'Copied' }).last().waitFor();
    writeFileSync(join(directory, name), await page.evaluate(() => navigator.clipboard.readText()));
    const { stdout } = await run(program, [name], { cwd: directory });
    assert.match(stdout, /"?success"?'?: ?[Tt]rue/, `${language}: ${stdout}`);
    const { messages: [message] } = await server.call('GET', `/api/messaging/sessions/${sessionId}/messages?limit=1`);
    const own = (await server.call('GET', `/api/messaging/sessions/${sessionId}/messages`)).messages.find(({ isAgent }) => !isAgent) ?? message;
    assert.equal(own.content, HOSTILE, language);
    assert.deepEqual(own.metadata.nested, [true, false, null, 1.5, 'True'], language);
    assert.equal(Object.getOwnPropertyDescriptor(own.metadata, '__proto__')?.value, 1, language);
    await server.call('POST', `/api/messaging/sessions/${sessionId}/cancel`);
  }
  browser.assertNoComplaints();
});

test('every generated call is valid, with paths and queries that need quoting', async () => {
  const browser = await Browser.start();
  const page = await open(browser);
  await openAll(page);
  const directory = mkdtempSync(join(tmpdir(), 'sessiond-docs-'));
  await panelOf(page, 'listSessions').getByRole('textbox', { name: 'q' }).fill(HOSTILE);
  await panelOf(page, 'getAgent').getByRole('textbox', { name: 'agentId' }).fill(`../${HOSTILE}`);
  const calls = {};
  for (const [language, file] of [['curl', 'sh'], ['fetch', 'mjs'], ['Python', 'py']]) {
    await panelOf(page, 'listSessions').getByRole('button', { name: language }).click();
    const all = await page.locator('.operation').evaluateAll((elements) => elements.map((element) => [element.id, element.querySelector('[aria-label=Call]').textContent]));
    calls[language] = Object.fromEntries(all);
    all.forEach(([id, text]) => writeFileSync(join(directory, `${id}.${file}`), text));
    for (const [id] of all) {
      const path = join(directory, `${id}.${file}`);
      if (file === 'sh') await run('sh', ['-n', path]);
      if (file === 'mjs') await run(process.execPath, ['--check', path]);
    }
  }
  await run('python3', ['-c', 'import ast,glob,sys\nfor name in glob.glob(sys.argv[1] + "/*.py"): ast.parse(open(name).read())', directory]);
  const listed = await run('sh', [join(directory, 'listSessions.sh')]);
  assert.match(listed.stdout, /"sessions":\[\]/, 'the query arrived whole');
  const missing = await run('sh', [join(directory, 'getAgent.sh')]);
  assert.match(missing.stdout, /AGENT_NOT_FOUND/, 'the value stayed one segment of the path');
  assert.match(calls.curl.getSessionEvents, /^curl -N /);
  assert.match(calls.curl.backupDatabase, /-OJ$/);
  assert.match(calls.curl.deleteSession, /-X DELETE/);
  browser.assertNoComplaints();
});

test('reads are sent at once, other calls after a confirmation that names them', async () => {
  const { sessionId } = await server.create();
  const browser = await Browser.start();
  const page = await open(browser, { at: '#listAgents' });
  await send(page, 'listAgents');
  const agents = await response(page, 'listAgents', 200);
  assert.equal(JSON.parse(agents).data.agents[0].id, ELIZA);
  assert.match(agents, /\n {2}"data"/, 'laid out');
  assert.match(await panelOf(page, 'listAgents').getByRole('status').textContent(), /200 OK · \d+ ms · /);
  await panelOf(page, 'listAgents').getByText(/X-Request-Id: [\w-]+/).waitFor();

  await page.goto(`${server.url}/docs#deleteSession`);
  await until(async () => (await panelOf(page, 'deleteSession').getByRole('textbox', { name: 'sessionId' }).inputValue()) === sessionId, 'the newest session');
  await send(page, 'deleteSession');
  const dialog = page.getByRole('dialog', { name: 'Delete a session?' });
  await dialog.getByText(`/api/messaging/sessions/${sessionId}`).waitFor();
  await dialog.getByText('Erases the session and its messages immediately.').waitFor();
  await assertAccessible(page, 'the confirmation');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await server.call('GET', `/api/messaging/sessions/${sessionId}`);
  await send(page, 'deleteSession');
  await confirm(page);
  assert.match(await response(page, 'deleteSession', 200), /deleted successfully/);
  assert.equal((await fetch(`${server.url}/api/messaging/sessions/${sessionId}`)).status, 404);
  browser.assertNoComplaints();
});

test('what cannot be sent is explained at its field, with the position in the body', async () => {
  const browser = await Browser.start();
  const page = await open(browser, { at: '#createSession' });
  const panel = panelOf(page, 'createSession');
  const body = panel.getByRole('textbox', { name: 'Body' });
  const problemOf = (input) => input.evaluate((element) => (document.activeElement === element ? element.validationMessage : ''));
  for (const [text, problem] of [
    ['{\n  "agentId": "x"\n  "userId": 1\n}', /^The body is not valid JSON\. .*line 3 column 3/],
    ['{"a": [1, 2,]}', /^The body is not valid JSON\. /],
    ['{} {}', /line 1 column 4/],
  ]) {
    await body.fill(text);
    await send(page, 'createSession');
    await until(async () => problem.test(await problemOf(body)), `the problem of ${text}`);
  }
  assert.equal(await body.evaluate((element) => element.selectionStart), 3, 'the cursor is at the error');
  assert.match(await panel.getByRole('group', { name: 'Call' }).textContent(), /"platform": "web"/, 'the snippet keeps the last valid body');
  await body.fill('{}');
  const key = panel.getByRole('textbox', { name: 'Idempotency-Key' });
  await key.fill('Schlüssel');
  await send(page, 'createSession');
  await until(() => problemOf(key), 'the problem of the header');
  assert.equal(await key.getAttribute('title'), 'ASCII characters');

  await page.goto(`${server.url}/docs#getAgent`);
  const agent = panelOf(page, 'getAgent').getByRole('textbox', { name: 'agentId' });
  for (const text of ['', '..']) {
    await agent.fill(text);
    await send(page, 'getAgent');
    await until(() => problemOf(agent), `the problem of “${text}”`);
  }
  assert.ok(browser.requests.every(({ url }) => !url.endsWith('/api/agents/') && !url.endsWith('/api/')), 'nothing was sent');
  browser.assertNoComplaints();
});

test('streams are shown while they arrive, and can be stopped', async () => {
  const { sessionId } = await server.create();
  const browser = await Browser.start();
  const page = await open(browser, { at: '#getSessionEvents' });
  await until(async () => (await panelOf(page, 'getSessionEvents').getByRole('textbox', { name: 'sessionId' }).inputValue()) === sessionId, 'the newest session');
  await send(page, 'getSessionEvents');
  const panel = panelOf(page, 'getSessionEvents');
  const shown = panel.getByRole('group', { name: 'Response' });
  await until(async () => (await shown.textContent()).includes('event: state'), 'the state');
  await server.say(sessionId, SCRIPT);
  await until(async () => (await shown.textContent()).includes(SCRIPT.slice(0, 12)), 'the message');
  await panel.getByRole('button', { name: 'Stop' }).click();
  await panel.getByRole('status').filter({ hasText: 'Stopped' }).waitFor();
  assert.ok(!(await panel.getByRole('button', { name: 'Stop' }).isVisible()));

  await page.goto(`${server.url}/docs#streamSessionMessage`);
  await until(async () => (await panelOf(page, 'streamSessionMessage').getByRole('textbox', { name: 'sessionId' }).inputValue()) === sessionId, 'the newest session');
  await send(page, 'streamSessionMessage');
  await confirm(page);
  assert.match(await response(page, 'streamSessionMessage', 200), /event: user_message[^]*event: chunk[^]*event: done/);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  browser.assertNoComplaints();
});

test('the token is sent and never shown, and roles decide what can be sent', async () => {
  const { sessionId } = await guarded.create();
  const anonymous = await Browser.start();
  const outside = await open(anonymous, { of: guarded, at: '#getSession' });
  await outside.getByText('This server requires a token.').waitFor();
  const call = await snippet(panelOf(outside, 'getSession'), 'curl');
  assert.match(call, /\/sessions\/SESSION_ID'/);
  assert.match(call, /-H 'Authorization: Bearer TOKEN'/);
  await panelOf(outside, 'getSession').getByText('A token is required.').waitFor();
  assert.ok(await panelOf(outside, 'getSession').getByRole('button', { name: 'Send' }).isDisabled());
  assert.equal(await panelOf(outside, 'getSession').getByRole('link', { name: 'Sign in' }).getAttribute('href'), '/');
  await outside.goto(`${guarded.url}/docs#getHealth`);
  await send(outside, 'getHealth');
  assert.match(await response(outside, 'getHealth', 200), /status/, 'a public call needs no token');

  const browser = await Browser.start();
  // The page asks for the list, which this role may not read.
  const isRefused = (text) => text.includes('403');
  const page = await open(browser, { of: guarded, at: '#getSession', token: TOKEN, expected: isRefused });
  await page.getByText('Your role is server.').waitFor();
  const panel = panelOf(page, 'getSession');
  await panel.getByRole('textbox', { name: 'sessionId' }).fill(sessionId);
  await send(page, 'getSession');
  assert.equal(JSON.parse(await response(page, 'getSession', 200)).sessionId, sessionId);
  assert.ok(browser.requests.some(({ url, headers }) => url.endsWith(sessionId) && headers.authorization === `Bearer ${TOKEN}`));
  await openAll(page);
  assert.ok(!(await page.evaluate(() => document.body.innerText + [...document.querySelectorAll('input, textarea')].map(({ value }) => value).join())).includes(TOKEN));
  assert.match(await snippet(panelOf(page, 'getHealth'), 'curl'), /^curl '[^']+\/health'$/, 'a public call has no token');

  const admin = page.locator('#getStorage');
  await admin.locator('summary .chip').getByText('admin').waitFor();
  assert.ok(await panelOf(page, 'getStorage').getByRole('button', { name: 'Send' }).isDisabled());
  await panelOf(page, 'getStorage').getByText('Not for the role server.').waitFor();
  assert.ok(await panelOf(page, 'submitMessage').getByRole('button', { name: 'Send' }).isEnabled());

  const administrator = await Browser.start();
  const inside = await open(administrator, { of: guarded, at: '#getStorage', token: `${TOKEN}-admin` });
  await inside.getByText('Your role is admin.').waitFor();
  await send(inside, 'getStorage');
  assert.ok('freeBytes' in JSON.parse(await response(inside, 'getStorage', 200)));
  for (const each of [anonymous, browser, administrator]) each.assertNoComplaints();
});

test('downloads are offered as files', async () => {
  const { sessionId } = await server.create();
  const browser = await Browser.start();
  const page = await open(browser, { at: '#exportSessions' });
  await panelOf(page, 'exportSessions').getByRole('textbox', { name: 'session', exact: true }).fill(sessionId);
  await send(page, 'exportSessions');
  const link = panelOf(page, 'exportSessions').getByRole('link', { name: /^Save / });
  const [file] = await Promise.all([page.waitForEvent('download'), link.click()]);
  assert.match(readFileSync(await file.path(), 'utf8'), new RegExp(sessionId));
  assert.match(file.suggestedFilename(), /\.jsonl$/);
  assert.ok(!(await panelOf(page, 'exportSessions').getByRole('group', { name: 'Response' }).isVisible()));
  browser.assertNoComplaints();
});

test('lines are sent as they are, by the page and by the copied calls', async () => {
  const { sessionId } = await server.create();
  const lines = await (await fetch(`${server.url}/api/admin/export?session=${sessionId}`)).text();
  const remove = () => server.call('DELETE', `/api/messaging/sessions/${sessionId}`);
  const browser = await Browser.start();
  const page = await open(browser, { at: '#importSessions' });
  const panel = panelOf(page, 'importSessions');
  const body = panel.getByRole('textbox', { name: 'Body' });
  assert.match(await body.inputValue(), /^\{"type":"session",.*\n\{"type":"message",/);
  await body.fill(lines);
  await remove();
  await send(page, 'importSessions');
  await confirm(page);
  assert.equal(JSON.parse(await response(page, 'importSessions', 201)).sessions, 1);

  const directory = mkdtempSync(join(tmpdir(), 'sessiond-docs-'));
  const programs = { curl: ['sh', 'call.sh'], fetch: ['node', 'call.mjs'] };
  if (await run('python3', ['-c', 'import requests']).then(() => true, () => false)) programs.Python = ['python3', 'call.py'];
  for (const [language, [program, name]] of Object.entries(programs)) {
    await remove();
    writeFileSync(join(directory, name), await snippet(panel, language));
    const { stdout } = await run(program, [name], { cwd: directory });
    assert.match(stdout, /"?sessions"?'?: ?1/, `${language}: ${stdout}`);
  }
  browser.assertNoComplaints();
});

test('hostile and huge content is text: names, responses of a proxy, long lines', async () => {
  const name = `Mallory ${SCRIPT}`;
  const hostile = await Server.start({}, [{ id: ELIZA, name, bio: [SCRIPT] }]);
  // A proxy that answers some calls itself.
  const proxy = createServer(async (request, answer) => {
    const own = { '/api/agents/huge': ['text/plain', 'x'.repeat(3_000_000)], '/api/agents/page': ['text/html', `<h1>Bad gateway</h1>${SCRIPT}`], '/api/agents/json': ['application/json', JSON.stringify({ list: Array(60_000).fill(SCRIPT) })] }[request.url];
    if (own) {
      answer.writeHead(own[0] === 'text/html' ? 502 : 200, { 'Content-Type': own[0] });
      answer.end(own[1]);
      return;
    }
    const found = await fetch(hostile.url + request.url, { method: request.method });
    const headers = Object.fromEntries([...found.headers].filter(([key]) => !/encoding|length|connection/.test(key)));
    answer.writeHead(found.status, headers);
    answer.end(Buffer.from(await found.arrayBuffer()));
  });
  await new Promise((listening) => proxy.listen(0, '127.0.0.1', listening));
  const browser = await Browser.start();
  const page = await open(browser, { of: { url: `http://127.0.0.1:${proxy.address().port}` }, at: '#getAgent', expected: (text) => text.includes('502') });
  const panel = panelOf(page, 'getAgent');
  const call = async (id, status) => {
    await panel.getByRole('textbox', { name: 'agentId' }).fill(id);
    await send(page, 'getAgent');
    return response(page, 'getAgent', status);
  };
  assert.match(await call('page', 502), /^<h1>Bad gateway<\/h1><img/);
  assert.equal((await call('huge', 200)).length, 200_000);
  await panel.getByText('The first 200,000 of 3,000,000 characters.').waitFor();
  assert.equal((await call('json', 200)).length, 200_000);
  const [file] = await Promise.all([page.waitForEvent('download'), panel.getByRole('link', { name: /^Save / }).click()]);
  assert.equal(JSON.parse(readFileSync(await file.path(), 'utf8')).list.length, 60_000);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, 'not wider than the screen');
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll('main img, main h1').length), 1, 'no element was created from it');
  browser.assertNoComplaints();
  proxy.close();
});

test('Copy works on pages that browsers do not trust with the clipboard', async () => {
  const browser = await Browser.start();
  await browser.context.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  const page = await open(browser, { at: '#streams' });
  await page.locator('#streams').getByRole('button', { name: 'Copy' }).click();
  await page.locator('.notice', { hasText: 'Copied' }).waitFor();
  await page.getByRole('searchbox', { name: 'Filter' }).focus();
  await page.keyboard.press('Control+V');
  assert.match(await page.getByRole('searchbox', { name: 'Filter' }).inputValue(), /^const events = new EventSource\(".*\/events"\);/);
  browser.assertNoComplaints();
});

/** The part of socket.io-client that the example uses, over long polling. Resolves to the names of the received events. */
async function runWithSockets(example) {
  const listeners = new Map();
  const sent = ['40'];
  const heard = [];
  let url;
  let isOpen = true;
  const socket = {
    on: (name, listener) => listeners.set(name, listener),
    emit: (...event) => sent.push(`42${JSON.stringify(event)}`),
    close: () => { isOpen = false; },
  };
  new Function('io', example.replace(/^import .*$/m, ''))((origin) => {
    url = `${origin}/socket.io/?EIO=4&transport=polling`;
    return socket;
  });
  url += `&sid=${JSON.parse((await (await fetch(url)).text()).slice(1)).sid}`;
  while (isOpen) {
    for (const body of sent.splice(0)) await fetch(url, { method: 'POST', body });
    for (const packet of (await (await fetch(url)).text()).split('\x1e')) {
      if (packet === '2') sent.push('3');
      if (!packet.startsWith('42')) continue;
      const [name, payload] = JSON.parse(packet.slice(2));
      heard.push(name);
      listeners.get(name)?.(payload);
    }
  }
  return heard;
}

test('the example of Socket.IO works, and every event that it receives is described', async () => {
  const { userId } = await server.create();
  const browser = await Browser.start();
  const page = await open(browser, { at: '#socketio' });
  const guide = page.getByRole('region', { name: 'Socket.IO events' });
  const example = guide.getByRole('group', { name: 'JavaScript' });
  await until(async () => (await example.textContent()).includes(userId), 'real ids');
  const heard = await runWithSockets(await example.textContent());
  for (const name of ['room_joined', 'messageAck', 'messageBroadcast', 'messageStreamChunk', 'messageComplete']) assert.ok(heard.includes(name), `${name} in ${heard}`);
  const described = await guide.locator('code').allTextContents();
  assert.deepEqual(heard.filter((name) => !described.includes(name)), []);
  for (const name of ['messageError', 'sessionExpired', 'channelDeleted']) assert.ok(described.includes(name), name);
  browser.assertNoComplaints();
});

test('events, streams and errors have examples, and everything is printed', async () => {
  const { sessionId, userId } = await server.create();
  const browser = await Browser.start();
  const page = await open(browser, { at: '#socketio' });
  const guide = page.getByRole('region', { name: 'Socket.IO events' });
  await until(async () => (await guide.locator('pre').first().textContent()).includes(userId), 'real ids');
  await guide.getByText('messageStreamChunk', { exact: true }).click();
  const example = JSON.parse(await guide.getByLabel('Example of messageStreamChunk').textContent());
  assert.deepEqual([typeof example.chunk, example.index], ['string', 0]);
  await page.getByRole('region', { name: 'Errors' }).getByRole('row').filter({ hasText: 'SESSION_RENEWAL_FAILED' }).getByText('timeSinceCreation').waitFor();

  // The example of the streams, in the page itself, which has an EventSource.
  const source = await page.locator('#streams pre').textContent();
  const heard = page.waitForEvent('console', (message) => message.text().startsWith('messageBroadcast'));
  await page.evaluate((url) => {
    const events = new EventSource(url);
    events.addEventListener('messageBroadcast', ({ data }) => console.log('messageBroadcast', data));
    return new Promise((opened) => events.addEventListener('open', opened));
  }, /EventSource\("([^"]+)"\)/.exec(source)[1]);
  await server.say(sessionId, 'Hello');
  await heard;

  await page.emulateMedia({ media: 'print' });
  await until(() => page.locator('#updateSession').getByText('subscribers receive').isVisible(), 'a closed operation, which is printed');
  assert.ok(!(await page.getByRole('searchbox', { name: 'Filter' }).isVisible()));
  browser.assertNoComplaints();
});

for (const [name, options] of Object.entries({
  light: {}, dark: { colorScheme: 'dark' }, phone: { viewport: { width: 320, height: 700 } }, wide: { viewport: { width: 2560, height: 1300 } },
  forced: { forcedColors: 'active' }, zoomed: { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 },
})) {
  test(`the reference is accessible and fits: ${name}`, async () => {
    await server.create();
    const browser = await Browser.start({ reducedMotion: 'reduce', ...options });
    const page = await open(browser, { at: '#sendSessionMessage' });
    const look = async (part) => {
      await picture(page, `docs-${part}-${name}`);
      await assertAccessible(page, `${part}, ${name}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${part} is ${overflow} px too wide`);
    };
    await until(async () => (await panelOf(page, 'sendSessionMessage').getByRole('textbox', { name: 'sessionId' }).inputValue()) !== '', 'a session');
    await send(page, 'sendSessionMessage');
    await confirm(page);
    await response(page, 'sendSessionMessage', 201);
    await look('response');
    await panelOf(page, 'sendSessionMessage').getByRole('button', { name: 'fetch', pressed: false }).press('Enter');
    await panelOf(page, 'sendSessionMessage').getByRole('button', { name: 'fetch', pressed: true }).waitFor();
    assert.match(await panelOf(page, 'sendSessionMessage').getByRole('group', { name: 'Call' }).textContent(), /await fetch/);
    await openAll(page);
    await look('all');
    await page.goto(`${server.url}/docs#errors`);
    await look('errors');
    browser.assertNoComplaints();
  });
}
