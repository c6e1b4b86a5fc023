// The turns of a conversation: what an agent does before it speaks, stopping, failing, retrying,
// regenerating, editing, continuing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Agent, endAgents } from './agent.mjs';
import { Browser, Server, assertAccessible, endAll, picture, until, words } from './console.mjs';

const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

let server;
let agent;
let agentId;
let browser;

before(async () => {
  agent = await Agent.start();
  server = await Server.start({}, [agent.file]);
  agentId = await agent.id(server);
  browser = await Browser.start();
});
after(async () => {
  await endAll();
  endAgents();
});

const create = (fields = {}) => server.create({ agentId, ...fields });
const open = async (sessionId, expected) => {
  const page = await browser.page(`${server.url}/#/sessions/${sessionId}`, expected);
  await page.locator('.log').waitFor();
  return page;
};
const named = (page, name) => page.getByRole('button', { name, exact: true });

async function write(page, text) {
  await page.getByLabel('Message').fill(text);
  await named(page, 'Send').click();
}

/** The turn that the agent is asked for next. */
function nextTurn() {
  return new Promise((resolve) => {
    agent.answer = resolve;
  });
}

const messages = async (sessionId) => (await server.call('GET', `/api/messaging/sessions/${sessionId}/messages`)).messages.reverse();
const idOf = (page) => page.url().split('/').at(-1);

test('thinking and tools are shown while they happen, and the reply with its details afterwards', async () => {
  const { sessionId } = await create();
  const page = await open(sessionId);
  const asked = nextTurn();
  await write(page, 'What is the weather?');
  const turn = await asked;
  turn.send('activity', { kind: 'thinking', text: 'They want <b>rain</b>. ' });
  turn.send('activity', { kind: 'tool', name: 'weather', state: 'started', text: 'Zürich' });
  const activity = page.locator('.doing');
  await activity.getByText('weather · started · Zürich').waitFor();
  turn.send('activity', { kind: 'thinking', text: 'Or sun.' });
  turn.send('activity', { kind: 'tool', name: 'weather', state: 'failed', text: 'no such city' });
  await activity.getByText('weather · failed · no such city').waitFor();
  assert.equal(await activity.getByText('Or sun.').isVisible(), false, 'thinking is folded');
  await page.getByText('Thinking', { exact: true }).click();
  await activity.getByText('They want <b>rain</b>. Or sun.').waitFor();
  await picture(page, 'activity');
  turn.chunk('It **rains**.');
  turn.done('It **rains**.', {
    thought: 'They want <b>rain</b>.',
    metadata: { model: 'tiny-<i>1</i>', finishReason: 'length', usage: { inputTokens: 1200, outputTokens: 7 } },
  });
  await page.getByText('Cut off: the model’s limit of tokens was reached.').waitFor();
  assert.equal(await activity.filter({ hasText: /./ }).count(), 0, 'what happened is gone');
  const reply = page.locator('.message.agent');
  assert.equal(await reply.getByText('They want').isVisible(), false, 'the thought is folded');
  await reply.getByText('Details').click();
  await reply.getByText('Model tiny-<i>1</i> · 1,200 tokens in, 7 out · finish reason: length').waitFor();
  assert.equal(await reply.locator('b, i').count(), 0);
  await assertAccessible(page, 'details');
  browser.assertNoComplaints();
  await page.close();
});

test('only images within the message are shown, and only safe addresses are linked', async () => {
  const { sessionId } = await create();
  agent.answer = (turn) => turn.done('Look.', { attachments: [
    { type: 'image/png', url: PIXEL, name: 'A dot <b>' },
    { type: 'image/png', url: 'https://example.org/cat.png', name: 'A cat' },
    { type: 'file', url: 'https://example.org/report.pdf' },
    { type: 'image/svg+xml', url: 'data:image/svg+xml,<svg onload="window.hacked=1"/>', name: 'Vectors' },
    { type: 'file', url: 'javascript:window.hacked=1', name: 'Script' },
    { type: 'text/html', url: 'data:text/html,<script>window.hacked=1</script>', name: 'Page' },
  ] });
  await server.say(sessionId, 'Show me.');
  const page = await open(sessionId);
  const list = page.getByRole('list', { name: 'Attachments' });
  await list.getByRole('img', { name: 'A dot <b>' }).waitFor();
  assert.ok(await list.getByRole('img').evaluate((image) => image.decode().then(() => image.naturalWidth === 1)));
  assert.deepEqual(await list.locator('a').evaluateAll((found) => found.map(({ href }) => href)),
    [PIXEL, 'https://example.org/cat.png', 'https://example.org/report.pdf']);
  assert.equal(await list.locator('img').count(), 1);
  for (const name of ['Vectors', 'Script', 'Page']) assert.ok(await list.getByText(name).isVisible());
  await assertAccessible(page, 'attachments');
  await picture(page, 'attachments');
  browser.assertNoComplaints();
  await page.close();
});

test('a page that joins in mid-reply shows its beginning, and Stop keeps it', async () => {
  const { sessionId } = await create();
  const first = await open(sessionId);
  const asked = nextTurn();
  await write(first, 'Count.');
  const turn = await asked;
  turn.chunk('One, ');
  turn.chunk('two, ');
  await until(async () => (await words(first))[1] === 'One, two,', 'the beginning');
  const second = await open(sessionId);
  await until(async () => (await words(second))[1] === 'One, two,', 'the beginning on the second page');
  turn.chunk('three, ');
  await until(async () => (await words(second))[1] === 'One, two, three,', 'the next piece');
  assert.equal(await second.locator('.message').count(), 2);

  await named(second, 'Stop').click();
  for (const page of [first, second]) {
    await page.getByText('Stopped before it was complete.').waitFor();
    await named(page, 'Stop').waitFor({ state: 'hidden' });
  }
  const stored = await messages(sessionId);
  assert.equal(stored[1].content, 'One, two, three, ');
  assert.equal(stored[1].metadata.interrupted, true);
  browser.assertNoComplaints();
  await first.close();
  await second.close();
});

test('a stopped turn without a reply can be retried under the same message', async () => {
  const { sessionId } = await create();
  const page = await open(sessionId);
  const asked = nextTurn();
  await write(page, 'Are you there?');
  await asked;
  await named(page, 'Stop').click();
  await page.getByText('Stopped before a reply.').waitFor();
  agent.answer = (turn) => turn.done('Yes.');
  await named(page, 'Retry').click();
  await until(async () => (await words(page))[1] === 'Yes.', 'the reply');
  assert.equal(await page.getByText('Stopped before a reply.').count(), 0);
  assert.deepEqual((await messages(sessionId)).map(({ content }) => content), ['Are you there?', 'Yes.'], 'stored once');
  await page.close();
});

test('a failed turn shows the reason, and to administrators the cause', async () => {
  const { sessionId } = await create({ metadata: { title: 'Of failure' } });
  const page = await open(sessionId);
  agent.answer = (turn) => turn.refuse(404, { error: 'no such <b>model</b>' });
  await write(page, 'Hello?');
  await page.getByText('The agent is not configured correctly.').waitFor();
  const cause = page.locator('.cause');
  await cause.filter({ hasText: '404' }).waitFor();
  assert.match(await cause.textContent(), /The agent’s last failure, at \d\d:\d\d:\d\d \(http:\/\/127\.0\.0\.1:\d+.*\): /);
  await assertAccessible(page, 'a failure');
  await picture(page, 'failure');

  // Another page does not know the message's key, and says where it will be sent again.
  const other = await open(sessionId);
  await other.getByText('The agent is not configured correctly.').waitFor();
  agent.answer = (turn) => turn.done('Repaired.');
  await named(other, 'Retry in a new session').click();
  await until(async () => (await words(other))[1] === 'Repaired.', 'the reply in a new session');
  assert.notEqual(idOf(other), sessionId);
  await other.getByRole('heading', { level: 1, name: 'Of failure' }).waitFor();

  agent.answer = (turn) => turn.refuse(422, { error: { message: 'Not <b>that</b>.' } });
  await write(other, 'Say something bad.');
  await other.getByText('The agent declined to reply. Not <b>that</b>.').waitFor();
  browser.assertNoComplaints();
  await page.close();
  await other.close();
});

test('a reply is regenerated and a message edited in sessions that continue the earlier one', async () => {
  agent.answer = (turn) => turn.done(`Reply ${turn.history.length}: ${turn.message.content}`);
  const timeoutConfig = { timeoutMinutes: 77, autoRenew: false, maxDurationMinutes: 99, warningThresholdMinutes: 7 };
  const { sessionId } = await create({ timeoutConfig, metadata: { title: 'Letters', username: 'Ada' } });
  for (const content of ['a', 'b']) await server.say(sessionId, content, { metadata: { mood: content } });
  const page = await open(sessionId);
  await until(async () => (await words(page)).length === 4, 'the transcript');
  assert.equal(await named(page, 'Regenerate').count(), 1, 'of the last reply');
  agent.answer = (turn) => turn.done(`Another ${turn.history.length}: ${turn.message.content}`);
  await named(page, 'Regenerate').click();
  await until(async () => (await words(page))[3] === 'Another 2: b', 'the other reply');
  const second = idOf(page);
  assert.notEqual(second, sessionId);
  assert.equal((await messages(second))[2].metadata.mood, 'b');
  const created = await server.call('GET', `/api/messaging/sessions/${second}`);
  assert.deepEqual(created.timeoutConfig, timeoutConfig);
  assert.deepEqual(created.metadata, { title: 'Letters', username: 'Ada' });
  await page.locator('.facts').getByRole('link', { name: sessionId }).waitFor();

  await page.getByLabel('Message').fill('a draft');
  await named(page, 'Edit').first().click();
  await page.getByText(/^Editing the message of/).waitFor();
  assert.equal(await page.getByLabel('Message').inputValue(), 'a');
  await page.keyboard.press('Escape');
  assert.equal(await page.getByLabel('Message').inputValue(), 'a draft');
  await named(page, 'Edit').first().click();
  await write(page, 'A');
  await until(async () => (await words(page)).join() === 'A,Another 0: A', 'a conversation from the start');
  const third = idOf(page);
  assert.equal((await server.call('GET', `/api/messaging/sessions/${third}`)).continuedFrom, undefined);
  assert.deepEqual((await messages(sessionId)).map(({ content }) => content), ['a', 'Reply 0: a', 'b', 'Reply 2: b'], 'unchanged');
  browser.assertNoComplaints();
  await page.close();
});

test('an expired session is continued in a new one', async () => {
  const fast = await Server.start({ SESSION_TIME_SCALE: '60', SESSION_MIN_TIMEOUT_MINUTES: '1' });
  const { sessionId, userId } = await fast.create({ timeoutConfig: { timeoutMinutes: 3 }, metadata: { title: 'Yesterday' } });
  await fast.say(sessionId, 'Remember me');
  const page = await browser.page(`${fast.url}/#/sessions/${sessionId}`, (text) => text.includes('410'));
  await named(page, 'Continue').waitFor();
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Yesterday' }).waitFor();
  await page.locator('.facts').getByText(userId).waitFor();
  await page.goto(`${fast.url}/#/`);
  await page.goto(`${fast.url}/#/sessions/${sessionId}`);
  await named(page, 'Continue').click();
  await until(() => idOf(page) !== sessionId, 'the new session');
  await page.locator('.chip').filter({ hasText: /Active|Expiring soon/ }).waitFor();
  await until(async () => (await words(page))[0] === 'Remember me', 'its copied messages');
  await page.locator('.facts').getByRole('link', { name: sessionId }).waitFor();
  browser.assertNoComplaints();
  await page.close();
});

test('the title is changed here and elsewhere', async () => {
  const { sessionId } = await create();
  const page = await open(sessionId);
  await page.getByRole('heading', { level: 1, name: 'Scripted' }).waitFor();
  await named(page, 'Rename').click();
  await page.getByLabel('Title').fill('<b>Mine</b>');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: '<b>Mine</b>' }).waitFor();
  assert.equal((await server.call('GET', `/api/messaging/sessions/${sessionId}`)).metadata.title, '<b>Mine</b>');
  await server.call('PATCH', `/api/messaging/sessions/${sessionId}`, { metadata: { title: 'Theirs' } });
  await page.getByRole('heading', { level: 1, name: 'Theirs' }).waitFor();
  await named(page, 'Rename').click();
  await page.getByLabel('Title').fill('');
  await named(page, 'Save').click();
  await page.getByRole('heading', { level: 1, name: 'Scripted' }).waitFor();
  assert.equal((await server.call('GET', `/api/messaging/sessions/${sessionId}`)).metadata.title, undefined);
  browser.assertNoComplaints();
  await page.close();
});
