// Changes of a session, and of the server, while a page is open.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, Server, endAll, until, words } from './console.mjs';

/** The browser's errors about an unreachable server and an ended session. */
const expected = (text) => /ERR_|410|404/.test(text);

let browser;

before(async () => {
  browser = await Browser.start();
});
after(endAll);

test('a session nears its expiry and expires on an open page', async () => {
  // A minute of a session lasts a second.
  const server = await Server.start({ SESSION_TIME_SCALE: '60', SESSION_MIN_TIMEOUT_MINUTES: '1' });
  const timeoutConfig = { timeoutMinutes: 15, warningThresholdMinutes: 5, autoRenew: false };
  const { sessionId } = await server.create({ timeoutConfig });
  const list = await browser.page(server.url, expected);
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  const chip = page.locator('.chip');
  const bar = page.locator('.session-head .countdown');
  const width = () => page.locator('.bar-fill').evaluate((fill) => new DOMMatrix(getComputedStyle(fill).transform).a);
  await chip.filter({ hasText: 'Active' }).waitFor();
  assert.equal(await bar.getAttribute('data-state'), 'far');
  const early = await width();
  await server.say(sessionId, 'Remember me');

  await chip.filter({ hasText: 'Expiring soon' }).waitFor();
  assert.equal(await bar.getAttribute('data-state'), 'near', 'the bar has changed');
  assert.ok((await width()) < early, 'the bar is shorter');
  await page.getByText('This session expires soon.').waitFor();
  await list.locator('.countdown[data-state="near"]').waitFor();

  await chip.filter({ hasText: 'Expired' }).waitFor();
  assert.equal(await page.getByLabel('Message').isVisible(), false, 'no more messages can be sent');
  assert.equal((await words(page)).length, 2, 'the messages stay');
  await list.getByRole('heading', { name: 'No active sessions' }).waitFor();
  await list.getByRole('button', { name: 'Show expired sessions' }).click();
  await list.locator('.sessions').getByText(/^kept until /).waitFor();

  await page.reload();
  await page.getByText('Its messages are retained for a while.').waitFor();
  assert.equal((await words(page))[0], 'Remember me', 'also after a reload');
  browser.assertNoComplaints();
  await page.close();
  await list.close();
});

test('an open page misses nothing when the server restarts', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  await server.say(sessionId, 'before');
  await until(async () => (await words(page)).length === 2, 'the first exchange');

  await server.kill();
  await page.getByText('Connection lost.').waitFor();
  await page.getByLabel('Message').fill('meanwhile');
  await page.keyboard.press('Enter');
  await page.getByText('sending', { exact: true }).waitFor();
  await server.launch();
  await server.say(sessionId, 'after');

  const unfinished = page.locator('.pending, .streaming');
  const isWhole = async () => (await words(page)).length === 6 && (await unfinished.count()) === 0;
  await until(isWhole, 'both exchanges since');
  await page.getByText('Connection lost.').waitFor({ state: 'hidden' });
  const stored = await server.call('GET', `/api/messaging/sessions/${sessionId}/messages`);
  assert.equal(stored.messages.length, 6, 'a message that was retried is stored once');
  const inOrder = stored.messages.toReversed().map(({ content }) => content);
  assert.deepEqual(await words(page), inOrder, 'each stored message is shown once, in order');

  // The page is live again, not only up to date.
  await server.say(sessionId, 'at last');
  await until(async () => (await words(page)).includes('at last'), 'a message after the restart');
  browser.assertNoComplaints();
  await page.close();
});

test('a lost answer costs neither a second session nor a second message', async () => {
  const server = await Server.start();
  const page = await browser.page(server.url, expected);
  /** Carries out the next call of this kind, and loses its answer. */
  const lose = (path) => page.route(path, async (route) => {
    await route.fetch();
    await route.abort();
  }, { times: 1 });
  await lose('**/api/messaging/sessions');
  await page.getByRole('button', { name: 'Start a conversation' }).click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByLabel('Message').fill('Only once');
  await lose('**/messages');
  const repeated = page.waitForResponse((response) => response.url().endsWith('/messages'));
  await page.keyboard.press('Enter');
  await repeated;
  await until(async () => (await words(page)).length === 2 && (await page.locator('.pending, .streaming').count()) === 0, 'the reply');
  const { sessions: [session], total } = await server.call('GET', '/api/messaging/sessions?limit=1');
  assert.equal(total, 1);
  const { messages } = await server.call('GET', `/api/messaging/sessions/${session.sessionId}/messages`);
  assert.deepEqual(messages.map(({ content }) => content).reverse(), await words(page));
  browser.assertNoComplaints();
  await page.close();
});

test('a deletion elsewhere is shown', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  await page.getByText('No messages yet.').waitFor();
  await until(async () => (await (await fetch(`${server.url}/metrics`)).text()).includes('sessiond_event_streams_open 1'), 'the stream');
  await server.call('DELETE', `/api/messaging/sessions/${sessionId}`);
  await page.getByText('This session and its messages were deleted.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Renew' }).isDisabled(), true);
  await page.close();
});

test('a refused message is shown with the reason', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, (text) => text.includes('400') || expected(text));
  await page.getByText('No messages yet.').waitFor();
  // Longer than the page itself allows.
  await page.getByLabel('Message').fill('x');
  await page.route('**/messages', (route) => route.continue({ postData: JSON.stringify({ content: 'x'.repeat(4001) }) }));
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.failure').filter({ hasText: /4000/ }).waitFor();
  await page.getByText('not sent', { exact: true }).waitFor();
  await page.close();
});
