// Signing in: roles, tabs, remembering, and password managers.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { Browser, ELIZA, Server, assertAccessible, endAll, picture, until } from './console.mjs';

const ADMIN = 'the-admin-token-of-these-tests';
const SERVER = 'the-server-token-of-these-tests';
const SECRET = 'a-secret-of-at-least-thirty-two-bytes';
const PROMPT = { name: 'This server requires a token' };

/** A name that is not a loopback name, but leads to this machine. */
const HOST = 'sessiond.example';
const MAPPED = { args: [`--host-resolver-rules=MAP ${HOST} 127.0.0.1`] };

/** The browser's own lines about refused calls. */
const refused = (text) => /40[13]/.test(text);

let guarded;

before(async () => {
  guarded = await Server.start({ SESSIOND_ADMIN_TOKEN: ADMIN, ELIZA_SERVER_AUTH_TOKEN: SERVER, JWT_SECRET: SECRET });
});
after(endAll);

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function jwtOf(sub) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

async function create() {
  const response = await fetch(`${guarded.url}/api/messaging/sessions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${ADMIN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ agentId: ELIZA, userId: randomUUID() }),
  });
  return response.json();
}

async function signIn(page, token, { isRemembered = false } = {}) {
  await page.getByRole('heading', PROMPT).waitFor();
  await page.getByRole('textbox', { name: 'Token' }).fill(token);
  if (isRemembered) await page.getByLabel('Remember on this device').check();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', PROMPT).waitFor({ state: 'detached' });
}

const link = (page, name) => page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name, exact: true });
const remote = (path = '/') => `http://${HOST}:${guarded.port}${path}`;
const stored = (page) => page.evaluate(() => ({ tab: Object.values(sessionStorage), local: Object.values(localStorage) }));

test('each role sees the links and parts that it may use', async () => {
  const user = randomUUID();
  for (const [token, isAdmin] of [[ADMIN, true], [SERVER, false], [jwtOf(user), false]]) {
    const browser = await Browser.start();
    const page = await browser.page(`${guarded.url}/#/agents`, refused);
    await signIn(page, token);
    await page.getByRole('button', { name: 'Chat' }).first().waitFor();
    await link(page, 'Server').waitFor({ state: isAdmin ? 'visible' : 'hidden' });
    assert.equal(await page.getByRole('button', { name: 'Probe' }).count() > 0, isAdmin);
    assert.equal(await page.getByText('Failures').count() > 0, isAdmin);
    await page.goto(`${guarded.url}/#/server`);
    if (isAdmin) await page.getByRole('button', { name: 'Verify' }).waitFor();
    else await page.getByRole('heading', { name: 'Not permitted' }).waitFor();
    await page.goto(`${guarded.url}/#/health`);
    await page.getByRole('heading', { level: 1, name: 'Healthy' }).waitFor();
    if (!isAdmin) await page.getByText('The metrics require the admin token.').waitFor();
    if (token === SERVER) {
      await page.goto(`${guarded.url}/#/?q=order`);
      await page.getByText('The sessions require the admin token.').waitFor();
      assert.equal(await page.locator('.summary').textContent(), '', 'it is said once');
    }
    browser.assertNoComplaints();
  }
});

test('without tokens, everyone is an administrator and there is nothing to sign out of', async () => {
  const open = await Server.start();
  const browser = await Browser.start();
  const page = await browser.page(`${open.url}/#/agents`);
  await page.getByRole('button', { name: 'Probe' }).waitFor();
  assert.equal(await link(page, 'Server').isVisible(), true);
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).isVisible(), false);
  browser.assertNoComplaints();
});

test('users start conversations as themselves', async () => {
  const user = randomUUID();
  const browser = await Browser.start();
  const page = await browser.page(guarded.url, refused);
  await signIn(page, jwtOf(user));
  await page.getByRole('button', { name: 'Start a conversation' }).click();
  const field = page.getByRole('dialog').getByLabel('User');
  assert.equal(await field.inputValue(), user);
  assert.equal(await field.isEditable(), false);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Eliza' }).waitFor();
  await page.goto(`${guarded.url}/#/agents`);
  await page.getByRole('button', { name: 'Chat' }).click();
  await page.getByRole('heading', { level: 1, name: 'Eliza' }).waitFor();
  const response = await fetch(`${guarded.url}/api/messaging/sessions?userId=${user}`, { headers: { Authorization: `Bearer ${ADMIN}` } });
  assert.equal((await response.json()).sessions.length, 2);
  browser.assertNoComplaints();
});

test('tabs share the token until the last one is closed, and one signs out all', async () => {
  const browser = await Browser.start();
  const page = await browser.page(`${guarded.url}/#/agents`, refused);
  const waiting = await browser.page(`${guarded.url}/#/agents`, refused);
  await waiting.getByRole('heading', PROMPT).waitFor();
  await signIn(page, ADMIN);
  await waiting.getByRole('heading', PROMPT).waitFor({ state: 'detached' });
  await waiting.getByRole('button', { name: 'Probe' }).waitFor();
  const later = await browser.page(`${guarded.url}/#/agents`, refused);
  await later.getByRole('button', { name: 'Probe' }).waitFor();
  assert.equal(await later.getByRole('heading', PROMPT).count(), 0, 'a new tab does not ask');
  const { sessionId } = await create();
  await page.goto(`${guarded.url}/#/sessions/${sessionId}`);
  await page.getByLabel('Message').fill('a draft');
  await until(async () => (await stored(page)).tab.includes('a draft'), 'the draft');

  await later.getByRole('button', { name: 'Sign out' }).click();
  for (const tab of [page, waiting, later]) {
    await tab.getByRole('heading', PROMPT).waitFor();
    assert.deepEqual(await stored(tab), { tab: [], local: [] }, 'neither the token nor a draft');
  }
  await signIn(page, ADMIN);
  await page.getByLabel('Message').waitFor();
  assert.equal(await page.getByLabel('Message').inputValue(), '');
  await later.getByRole('button', { name: 'Probe' }).waitFor();
  for (const tab of [page, waiting, later]) await tab.close();
  const fresh = await browser.page(guarded.url, refused);
  await fresh.getByRole('heading', PROMPT).waitFor();
  assert.ok(browser.requests.every(({ url }) => !url.includes(ADMIN)), 'no URL has it');
  browser.assertNoComplaints();
});

test('a token that stops working is forgotten in all tabs, and another identity replaces it', async () => {
  const server = await Server.start({ SESSIOND_ADMIN_TOKEN: ADMIN });
  const browser = await Browser.start();
  const expected = (text) => refused(text) || /ERR_/.test(text);
  const page = await browser.page(`${server.url}/#/agents`, expected);
  await signIn(page, ADMIN);
  const other = await browser.page(`${server.url}/#/agents`, expected);
  await other.getByRole('button', { name: 'Probe' }).waitFor();
  await server.kill();
  await page.getByText('The server does not answer.').waitFor();
  server.settings = { SESSIOND_ADMIN_TOKEN: `${ADMIN}-2` };
  await server.launch();
  for (const tab of [page, other]) await tab.getByRole('heading', PROMPT).waitFor();
  await signIn(other, `${ADMIN}-2`);
  await page.getByRole('heading', PROMPT).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Probe' }).waitFor();
  browser.assertNoComplaints();
});

test('password managers find a name, a password and a form', async () => {
  const browser = await Browser.start();
  const page = await browser.page(guarded.url, refused);
  await page.getByRole('heading', PROMPT).waitFor();
  const found = await page.locator('dialog form').evaluate((form) => [...form.elements].filter(({ name }) => name)
    .map(({ name, type, value, autocomplete }) => [name, type, value, autocomplete]));
  assert.deepEqual(found, [['username', 'text', 'sessiond', 'username'], ['password', 'password', '', 'current-password']]);
  assert.equal(await page.evaluate(() => document.activeElement.name), 'password', 'the token can be typed at once');
  await page.getByRole('textbox', { name: 'Token' }).fill('wrong “token”');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'ASCII' }).waitFor();
  await page.getByRole('textbox', { name: 'Token' }).fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('The server rejected this token.').waitFor();
  assert.deepEqual((await stored(page)).tab.filter((value) => value.includes('wrong')), [], 'a wrong token is not kept');
  browser.assertNoComplaints();
});

test('a loopback page does not offer to remember the token', async () => {
  const browser = await Browser.start();
  for (const host of ['127.0.0.1', 'localhost', 'console.localhost']) {
    const page = await browser.page(`http://${host}:${guarded.port}/`, refused);
    await page.getByRole('heading', PROMPT).waitFor();
    assert.equal(await page.getByLabel('Remember on this device').count(), 0, host);
    await page.evaluate((token) => localStorage.setItem('sessiond.remembered', JSON.stringify({ token, until: Date.now() + 1e6 })), ADMIN);
    await page.reload();
    await page.getByRole('heading', PROMPT).waitFor();
    assert.deepEqual((await stored(page)).local, [], 'what is stored is removed, not used');
    await page.close();
  }
  browser.assertNoComplaints();
});

test('a device remembers the token on request, for 30 days, until the user signs out', async () => {
  const browser = await Browser.start({ ...MAPPED, reducedMotion: 'reduce' });
  const first = await browser.page(remote(), refused);
  await first.getByRole('heading', PROMPT).waitFor();
  assert.equal(await first.getByLabel('Remember on this device').isChecked(), false);
  await picture(first, 'signin-remember');
  await assertAccessible(first, 'the prompt');
  await signIn(first, ADMIN);
  await first.getByRole('button', { name: 'Sign out' }).waitFor();
  assert.deepEqual((await stored(first)).local, [], 'nothing is stored without the choice');
  await first.getByRole('button', { name: 'Sign out' }).click();
  await signIn(first, ADMIN, { isRemembered: true });
  const { until: end } = JSON.parse((await stored(first)).local[0]);
  assert.ok(Math.abs(end - Date.now() - 30 * 86_400_000) < 60_000);
  await first.close();

  const second = await browser.page(remote('/#/agents'), refused);
  await second.getByRole('button', { name: 'Probe' }).waitFor();
  assert.equal(await second.getByRole('heading', PROMPT).count(), 0);
  await second.getByRole('button', { name: 'Sign out' }).click();
  await second.getByRole('heading', PROMPT).waitFor();
  assert.deepEqual((await stored(second)).local, [], 'forgotten at the sign-out');
  browser.assertNoComplaints();
});

test('a remembered token that has expired or is refused is forgotten', async () => {
  const browser = await Browser.start(MAPPED);
  const remember = (page, token, until) => page.evaluate(([value, end]) => localStorage.setItem('sessiond.remembered', JSON.stringify({ token: value, until: end })), [token, until]);
  const page = await browser.page(remote(), refused);
  await page.getByRole('heading', PROMPT).waitFor();
  for (const [token, days] of [[ADMIN, -0.001], [ADMIN, 31], ['refused-token', 10]]) {
    await remember(page, token, Date.now() + days * 86_400_000);
    await page.reload();
    await page.getByRole('heading', PROMPT).waitFor();
    await until(async () => (await stored(page)).local.length === 0, 'the end of the token');
  }
  browser.assertNoComplaints();
});
