// What happens to a session, and to the server, under an open page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, Server, endAll, until, words } from './console.mjs';

/** What the browser says of a server that is away, and of a session that has ended. */
const expected = (text) => /ERR_|410|404/.test(text);

let browser;

before(async () => {
  browser = await Browser.start();
});
after(endAll);

test('a session nears its end and expires before the eyes', async () => {
  // A minute of the rules is a second.
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

  await chip.filter({ hasText: 'Ends soon' }).waitFor();
  assert.equal(await bar.getAttribute('data-state'), 'near', 'the bar has turned');
  assert.ok((await width()) < early, 'and has run down');
  await page.getByText('This session ends soon.').waitFor();
  await list.locator('.countdown[data-state="near"]').waitFor();

  await chip.filter({ hasText: 'Expired' }).waitFor();
  assert.equal(await page.getByLabel('Message').isVisible(), false, 'nothing more can be said');
  assert.equal((await words(page)).length, 2, 'what was said stays');
  await list.getByRole('heading', { name: 'No sessions yet' }).waitFor();

  await page.reload();
  await page.getByText('What was said is kept for a while.').waitFor();
  assert.equal((await words(page))[0], 'Remember me', 'also when the page is opened anew');
  browser.assertNoComplaints();
  await page.close();
  await list.close();
});

test('the server is restarted under an open page, which misses nothing', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  await server.say(sessionId, 'before');
  await until(async () => (await words(page)).length === 2, 'the first exchange');

  await server.kill();
  await page.getByText('The connection is lost.').waitFor();
  await page.getByLabel('Message').fill('meanwhile');
  await page.keyboard.press('Enter');
  await page.getByText('sending', { exact: true }).waitFor();
  await server.launch();
  await server.say(sessionId, 'after');

  const unfinished = page.locator('.pending, .streaming');
  const isWhole = async () => (await words(page)).length === 6 && (await unfinished.count()) === 0;
  await until(isWhole, 'both exchanges since');
  await page.getByText('The connection is lost.').waitFor({ state: 'hidden' });
  const stored = await server.call('GET', `/api/messaging/sessions/${sessionId}/messages`);
  assert.equal(stored.messages.length, 6, 'what was sent again and again is stored once');
  const inOrder = stored.messages.toReversed().map(({ content }) => content);
  assert.deepEqual(await words(page), inOrder, 'and all that is stored is shown once, in its order');

  // The page is live again, and not only up to date.
  await server.say(sessionId, 'at last');
  await until(async () => (await words(page)).includes('at last'), 'a message after the restart');
  browser.assertNoComplaints();
  await page.close();
});

test('a session that is deleted elsewhere says so', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  await page.getByText('Nothing has been said yet.').waitFor();
  await until(async () => (await (await fetch(`${server.url}/metrics`)).text()).includes('sessiond_event_streams_open 1'), 'the stream');
  await server.call('DELETE', `/api/messaging/sessions/${sessionId}`);
  await page.getByText('This session was deleted, and its messages with it.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Renew' }).isDisabled(), true);
  await page.close();
});

test('a message that is refused is said to be so, and why', async () => {
  const server = await Server.start();
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, (text) => text.includes('400') || expected(text));
  await page.getByText('Nothing has been said yet.').waitFor();
  // Past what the box itself allows.
  await page.getByLabel('Message').evaluate((box) => {
    box.removeAttribute('maxlength');
    box.value = 'x'.repeat(4001);
  });
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.failure').filter({ hasText: /4000/ }).waitFor();
  await page.getByText('not sent', { exact: true }).waitFor();
  await page.close();
});
