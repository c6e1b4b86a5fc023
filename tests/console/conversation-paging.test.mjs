// Long conversations, messages that a link leads to, drafts, and the limit of a message.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Browser, ELIZA, Server, assertAccessible, endAll, picture, until, words } from './console.mjs';

const COUNT = 5000;

let server;
let browser;
let long;

before(async () => {
  [server, long] = await startWithLong();
  browser = await Browser.start();
});
after(endAll);

function userPart(replyId, repliedAt) {
  return { turnId: randomUUID(), replyId, bySocket: false, turn: { state: 'replied', repliedAt } };
}

/** A server with an imported session of many messages. */
async function startWithLong() {
  const started = new Server();
  const createdAt = new Date();
  const at = (minutes) => new Date(createdAt.getTime() + minutes * 60_000).toISOString();
  const [sessionId, userId] = [randomUUID(), randomUUID()];
  const session = {
    type: 'session', sessionId, agentId: ELIZA, userId, createdAt, lastActivity: createdAt, windowStart: createdAt, scheduledAt: createdAt,
    expiresAt: at(600), warnAt: at(595), renewalCount: 0, metadata: {},
    timeoutConfig: { timeoutMinutes: 600, autoRenew: true, maxDurationMinutes: 720, warningThresholdMinutes: 5 },
  };
  const ids = Array.from({ length: COUNT }, () => randomUUID());
  const timeOf = (index) => at((index - COUNT) / 60);
  const messages = ids.map((id, index) => ({
    type: 'message', sessionId, id, createdAt: timeOf(index), content: `line ${index + 1}`,
    ...(index % 2
      ? { authorId: ELIZA, agent: { inReplyTo: ids[index - 1] } }
      : { authorId: userId, user: userPart(ids[index + 1], timeOf(index + 1)) }),
  }));
  const file = join(started.home, 'long.jsonl');
  writeFileSync(file, [session, ...messages].map((line) => JSON.stringify(line)).join('\n'));
  const env = { PATH: process.env.PATH, DATA_DIR: join(started.home, 'data') };
  execFileSync(process.env.SESSIOND_BINARY, ['import', file], { env, stdio: 'pipe' });
  await started.launch();
  return [started, { sessionId, messages }];
}

const open = (path, expected) => browser.page(`${server.url}/#/sessions/${path}`, expected);
const named = (page, name) => page.getByRole('button', { name, exact: true });

test('5,000 messages: the start is a click away, and few of them are on the page', async () => {
  const page = await open(long.sessionId);
  await until(async () => (await words(page)).at(-1) === `line ${COUNT}`, 'the newest message');
  for (let pages = 2; pages <= 6; pages += 1) {
    await named(page, 'Earlier messages').click();
    const first = `line ${COUNT - pages * 50 + 1}`;
    await until(async () => (await words(page))[0] === first, first);
  }
  assert.equal((await words(page)).length, 200, 'the page stays short');

  await named(page, 'First messages').click();
  await until(async () => (await words(page))[0] === 'line 1', 'the first message');
  assert.equal(await named(page, 'Earlier messages').isVisible(), false);
  await named(page, 'Later messages').click();
  await until(async () => (await words(page)).at(-1) === 'line 100', 'the next page');

  await server.say(long.sessionId, 'Is anyone here?');
  await named(page, 'Jump to latest').click();
  await until(async () => (await words(page)).includes('Is anyone here?'), 'the newest message');
  await named(page, 'Jump to latest').waitFor({ state: 'hidden' });
  const log = page.locator('.log');
  const distance = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  await until(async () => (await distance()) < 2, 'the end');

  // Scrolled up, the view stays where it is, and says that there is more.
  await log.evaluate((box) => box.scrollTo(0, 100));
  const top = await log.evaluate((box) => box.scrollTop);
  await server.say(long.sessionId, 'And now?');
  await named(page, 'Jump to latest').waitFor();
  assert.equal(await log.evaluate((box) => box.scrollTop), top);
  await picture(page, 'jump');
  await named(page, 'Jump to latest').click();
  await until(async () => (await distance()) < 2, 'the end again');
  browser.assertNoComplaints();
  await page.close();
});

test('a link to a message shows the messages around it', async () => {
  const { id, createdAt } = long.messages[1999];
  const page = await open(`${long.sessionId}?message=${id}&at=${encodeURIComponent(createdAt)}`);
  const found = page.locator('.message.found');
  await found.waitFor();
  assert.equal(await found.locator('.words').textContent(), 'line 2000');
  assert.equal(await found.getAttribute('aria-current'), 'true');
  await until(() => found.evaluate((element) => element === document.activeElement), 'the focus');
  const isVisible = await found.evaluate((element) => {
    const box = element.closest('.log').getBoundingClientRect();
    const own = element.getBoundingClientRect();
    return own.top >= box.top && own.bottom <= box.bottom;
  });
  assert.ok(isVisible);
  assert.deepEqual((await words(page)).length, 50);
  await picture(page, 'found');
  await assertAccessible(page, 'a found message');
  await named(page, 'Jump to latest').click();
  await until(async () => (await words(page)).length === 50 && !(await words(page)).includes('line 2000'), 'the newest page');

  const gone = await open(`${long.sessionId}?message=${randomUUID()}&at=${encodeURIComponent(createdAt)}`);
  await gone.getByText('The message was not found in this session.').waitFor();
  browser.assertNoComplaints();
  await page.close();
  await gone.close();
});

test('a draft survives navigation and reload, and the composer has the focus', async () => {
  const { sessionId } = await server.create();
  const page = await open(sessionId);
  const input = page.getByLabel('Message');
  await until(() => input.evaluate((box) => box === document.activeElement), 'the focus');
  await page.keyboard.type('not yet sent');
  await page.getByRole('link', { name: 'Sessions' }).first().click();
  await page.locator('.sessions').waitFor();
  await page.goBack();
  await until(async () => (await page.getByLabel('Message').inputValue()) === 'not yet sent', 'the draft');
  await page.reload();
  await until(async () => (await page.getByLabel('Message').inputValue()) === 'not yet sent', 'the draft after a reload');
  await page.keyboard.press('Enter');
  // Until the server has confirmed the message, a reload must not lose it.
  await page.locator('.message.user:not(.pending)').getByText('not yet sent').waitFor();
  await page.reload();
  await until(async () => (await words(page)).length === 2, 'the transcript');
  assert.equal(await page.getByLabel('Message').inputValue(), '', 'a sent message leaves no draft');
  await page.close();
});

test('a pasted text over the limit is kept whole, and not sent', async () => {
  const { sessionId } = await server.create();
  const page = await open(sessionId);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const input = page.getByLabel('Message');
  await input.fill('é'.repeat(3599));
  assert.equal(await page.getByText('of 4,000 characters').isVisible(), false);
  await page.evaluate(() => navigator.clipboard.writeText('😀'.repeat(500)));
  await input.focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Control+v');
  await page.getByText('4,099 of 4,000 characters').waitFor();
  const alert = page.getByRole('alert');
  await alert.filter({ hasText: 'The pasted text was kept whole. A message can have 4,000 characters: remove 99 characters to send it.' }).waitFor();
  assert.equal((await input.inputValue()).length, 3599 + 1000);
  await picture(page, 'too-long');
  await assertAccessible(page, 'a message that is too long');
  await named(page, 'Send').click();
  await alert.filter({ hasText: 'The message is too long.' }).waitFor();
  assert.equal((await server.call('GET', `/api/messaging/sessions/${sessionId}/messages`)).messages.length, 0);
  await input.fill(`${'é'.repeat(3600)}${'😀'.repeat(400)}`);
  await until(async () => (await alert.count()) === 0, 'the end of the complaint');
  await named(page, 'Send').click();
  await until(async () => (await words(page)).length === 2, 'exactly 4,000 characters are sent');
  browser.assertNoComplaints();
  await page.close();
});

test('the transcript prints whole', async () => {
  const { sessionId } = await server.create();
  for (let index = 0; index < 12; index += 1) await server.say(sessionId, `${index}\n`.repeat(10));
  const page = await open(sessionId);
  await until(async () => (await words(page)).length === 24, 'the transcript');
  await page.emulateMedia({ media: 'print' });
  const { log, message } = await page.evaluate(() => ({
    log: document.querySelector('.log').clientHeight >= document.querySelector('.messages').scrollHeight,
    message: document.querySelector('.message').getBoundingClientRect().top >= 0,
  }));
  assert.ok(log && message, 'nothing is scrolled away');
  assert.equal(await page.getByLabel('Message').isVisible(), false);
  assert.equal(await named(page, 'Delete').isVisible(), false);
  await picture(page, 'print');
  await page.close();
});
