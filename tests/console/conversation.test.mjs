// Using the console: send, read, renew, change, export, delete.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { Browser, PATIENCE, Server, endAll, until, words } from './console.mjs';

let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await Browser.start();
});
after(endAll);

test('a conversation, from an empty list to a deleted session', async () => {
  const page = await browser.page(server.url);
  await page.getByRole('heading', { name: 'No sessions yet' }).waitFor();
  await page.getByRole('button', { name: 'Start a conversation' }).click();
  await page.getByLabel('Metadata').fill('{"username": "Ada"}');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Eliza' }).waitFor();
  const id = page.url().split('/').at(-1);

  // Records each text that the reply has while it is streamed.
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => {
      const last = [...document.querySelectorAll('.message.agent .words')].at(-1);
      if (last && window.seen.at(-1) !== last.textContent) window.seen.push(last.textContent);
    }).observe(document.querySelector('.messages'), { subtree: true, childList: true, characterData: true });
  });
  await page.getByLabel('Message').fill('Hi, my name is Ada.');
  await page.keyboard.press('Enter');
  await until(async () => (await words(page)).length === 2 && (await page.locator('.streaming').count()) === 0, 'the reply');
  const [said, replied] = await words(page);
  assert.equal(said, 'Hi, my name is Ada.');
  assert.match(replied, /Ada/);
  const seen = await page.evaluate(() => window.seen);
  assert.ok(seen.every((text) => replied.startsWith(text)), 'each streamed text is a prefix of the reply');
  const stored = await server.call('GET', `/api/messaging/sessions/${id}/messages`);
  assert.deepEqual(stored.messages.map(({ content }) => content).reverse(), [said, replied], 'the shown messages are the stored ones');

  await page.getByText('Renewed', { exact: true }).locator('..').getByText('once').waitFor();
  await page.getByRole('button', { name: 'Renew' }).click();
  await page.getByText('2 times').waitFor();

  await page.getByRole('button', { name: 'Change timeout' }).click();
  await page.getByLabel('Minutes without activity').fill('90');
  await page.getByLabel('A message renews the session').uncheck();
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByText('90 min, maximum duration 720 min').waitFor();
  const changed = await server.call('GET', `/api/messaging/sessions/${id}`);
  assert.deepEqual([changed.timeoutConfig.timeoutMinutes, changed.timeoutConfig.autoRenew], [90, false]);

  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
  const lines = readFileSync(await file.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines[0].sessionId === id || lines[0].id === id, 'the first line is the session');
  assert.equal(lines.length, 3, 'each message has a line');

  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await server.call('GET', `/api/messaging/sessions/${id}`);
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'No sessions yet' }).waitFor();
  browser.assertNoComplaints();
  await page.close();
});

test('a refused value is reported in the dialog, which stays open', async () => {
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, (text) => text.includes('400'));
  await page.getByRole('button', { name: 'Change timeout' }).click();
  await page.getByLabel('Minutes without activity').fill('99999');
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: '“Minutes without activity”' }).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('dialog').count(), 0);
  browser.assertNoComplaints();
  await page.close();
});

test('messages sent elsewhere appear live, in order', async () => {
  const { sessionId } = await server.create();
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`);
  await page.getByText('No messages yet.').waitFor();
  await server.say(sessionId, 'one');
  await server.say(sessionId, 'two');
  await until(async () => (await words(page)).length === 4, 'both messages with their replies');
  const said = await words(page);
  assert.deepEqual([said[0], said[2]], ['one', 'two']);
  await page.close();
});

test('own messages keep their author after a reload, and those of others have its name', async () => {
  const page = await browser.page(`${server.url}/#/agents`);
  await page.getByRole('button', { name: 'Chat' }).click();
  const authors = page.locator('.message .author');
  const shown = async (expected) => until(async () => (await authors.allTextContents()).join() === expected, expected);
  await page.getByLabel('Message').fill('Hello');
  await page.keyboard.press('Enter');
  await shown('You,Eliza');
  await page.reload();
  await shown('You,Eliza');

  const { sessionId } = await server.create({ metadata: { username: 'Ada' } });
  await server.say(sessionId, 'Hello');
  await page.goto(`${server.url}/#/sessions/${sessionId}`);
  await shown('Ada,Eliza');
  await page.getByLabel('Message').fill('Hello from the console');
  await page.keyboard.press('Enter');
  await shown('Ada,Eliza,Ada,Eliza');
  browser.assertNoComplaints();
  await page.close();
});

test('a long transcript is loaded page by page', async () => {
  const { sessionId } = await server.create();
  for (let index = 0; index < 60; index += 1) await server.say(sessionId, `message ${index}`);
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`);
  await until(async () => (await words(page)).length === 50, 'the newest page');
  await page.getByRole('button', { name: 'Earlier messages' }).click();
  await until(async () => (await words(page)).length === 100, 'the page before');
  await page.getByRole('button', { name: 'Earlier messages' }).click();
  await until(async () => (await words(page)).length === 120, 'the first page');
  assert.equal(await page.getByRole('button', { name: 'Earlier messages' }).count(), 0);
  const own = (await words(page)).filter((text) => /^message \d+$/.test(text));
  assert.deepEqual(own, Array.from({ length: 60 }, (_, index) => `message ${index}`));
  await page.close();
});

test('the list is paged and filtered, and a new session appears in it', async () => {
  const users = [];
  for (let index = 0; index < 55; index += 1) users.push((await server.create()).userId);
  const page = await browser.page(server.url, (text) => text.includes('400'));
  const rows = page.locator('.sessions tbody tr');
  await until(async () => (await rows.count()) === 25, 'a page of sessions');
  const first = await rows.first().getByRole('link').getAttribute('href');
  await page.getByRole('button', { name: 'Older' }).click();
  await page.getByText('Page 2 of 3').waitFor();
  assert.notEqual(await rows.first().getByRole('link').getAttribute('href'), first);
  await page.getByRole('button', { name: 'Newer' }).click();
  await page.getByText('Page 1 of 3').waitFor();

  await page.getByLabel('User', { exact: true }).fill(users[3]);
  await page.keyboard.press('Enter');
  await page.getByText(/^1 session of \d+ match$/).waitFor();
  assert.equal(await rows.count(), 1);
  await page.getByLabel('User', { exact: true }).fill('not-a-uuid');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'The sessions cannot be shown' }).waitFor();
  await page.getByLabel('User', { exact: true }).fill('');
  await page.keyboard.press('Enter');
  await until(async () => (await rows.count()) === 25, 'the whole list again');

  const { sessionId } = await server.create();
  await page.locator(`a[href="#/sessions/${sessionId}"]`).waitFor();
  assert.equal(await rows.first().getByRole('link').getAttribute('href'), `#/sessions/${sessionId}`);
  await page.close();
});

test('the console can be used with the keyboard only', async () => {
  const page = await browser.page(server.url);
  await page.locator('.sessions').waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.id);
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Start a conversation');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  for (let index = 0; (await focused()) !== 'Start' && index < 10; index += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Eliza' }).waitFor();
  for (let index = 0; (await focused()) !== 'say' && index < 20; index += 1) await page.keyboard.press('Tab');
  await page.keyboard.type('Hello');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('there');
  await page.keyboard.press('Enter');
  await until(async () => (await words(page)).length === 2, 'the reply');
  assert.equal((await words(page))[0], 'Hello\nthere');
  await page.close();
});

test('the metrics of the server are drawn', async () => {
  const page = await browser.page(`${server.url}/#/health`);
  await page.getByRole('heading', { name: 'Healthy' }).waitFor();
  const { sessionId } = await server.create();
  const card = (title) => page.locator('.chart').filter({ has: page.getByRole('heading', { name: title }) });
  const writes = await until(async () => {
    await server.say(sessionId, 'hello');
    const value = await card('Writes').locator('.chart-value').textContent();
    return /^[\d.,]*[1-9][\d.,]*\/s$/.test(value) && value;
  }, 'a rate of writes');
  assert.ok(parseFloat(writes) > 0);
  assert.match(await card('Database file').locator('.chart-value').textContent(), /^[\d.]+ [KM]iB$/);
  await until(async () => (await card('Writes').locator('.line').getAttribute('d'))?.includes('L'), 'a line');
  const row = page.getByRole('row').filter({ hasText: 'Eliza' });
  await until(async () => Number((await row.getByRole('cell').first().textContent()).replace(',', '')) > 0, 'the count of replies');
  await page.close();
});

test('an unknown page is reported', { timeout: PATIENCE }, async () => {
  const page = await browser.page(`${server.url}/#/sessions/abc-123`, (text) => text.includes('404'));
  await page.getByRole('heading', { name: 'Session not found' }).waitFor();
  await page.goto(`${server.url}/#/nowhere`);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  browser.assertNoComplaints();
  await page.close();
});
