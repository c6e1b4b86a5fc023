// Tokens, the content security policy, and hostile content.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, Server, endAll, until, words } from './console.mjs';

const TOKEN = 'a-token-of-the-console-tests';
const SCRIPT = '<script>window.hacked = true</script><img src=x onerror="window.hacked = true">';

let guarded;

before(async () => {
  guarded = await Server.start({ ELIZA_SERVER_AUTH_TOKEN: TOKEN });
});
after(endAll);

test('a wrong token is refused, and a valid one is kept only for the tabs of the browser', async () => {
  const browser = await Browser.start();
  const { sessionId } = await guarded.create();
  await guarded.say(sessionId, 'a secret');
  const page = await browser.page(`${guarded.url}/#/sessions/${sessionId}`, (text) => text.includes('401'));
  await page.getByRole('heading', { name: 'This server requires a token' }).waitFor();
  await page.getByRole('textbox', { name: 'Token' }).fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('The server rejected this token.').waitFor();
  assert.deepEqual(await words(page), []);
  await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN);
  await page.keyboard.press('Enter');
  await until(async () => (await words(page))[0] === 'a secret', 'the transcript');
  await page.getByLabel('Message').fill('And now?');
  await page.keyboard.press('Enter');
  await until(async () => (await words(page)).length === 4, 'the reply');

  const kept = await page.evaluate(() => ({ tab: { ...sessionStorage }, local: { ...localStorage }, cookie: document.cookie }));
  assert.ok(Object.values(kept.tab).includes(TOKEN), 'the tab keeps it');
  assert.deepEqual([kept.local, kept.cookie], [{}, ''], 'nothing else has it');
  assert.ok(browser.requests.some(({ headers }) => headers.authorization === `Bearer ${TOKEN}`));
  assert.ok(browser.requests.every(({ url }) => !url.includes(TOKEN) && !url.includes('wrong')), 'no URL has it');

  const stranger = await Browser.start();
  const other = await stranger.page(guarded.url, (text) => text.includes('401'));
  await other.getByRole('heading', { name: 'This server requires a token' }).waitFor();
  await other.keyboard.press('Escape');
  await other.getByRole('heading', { name: 'Not signed in' }).waitFor();
  const polls = async () => stranger.requests.filter(({ url, headers }) => url.endsWith('/sessions/health') && !headers.authorization).length;
  const asked = await polls();
  await until(async () => (await polls()) > asked, 'the next poll');
  assert.equal(await other.getByRole('heading', { name: 'This server requires a token' }).count(), 0, 'the token is requested once');
  await other.getByRole('button', { name: 'Enter the token' }).click();
  await other.getByRole('heading', { name: 'This server requires a token' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'This server requires a token' }).waitFor();
  assert.ok(!(await page.evaluate(() => Object.values(sessionStorage))).includes(TOKEN));
  browser.assertNoComplaints();
  stranger.assertNoComplaints();
});

test('hostile content is shown as text', async () => {
  const name = `Mallory ${SCRIPT}`;
  const server = await Server.start({}, [{ name, bio: [SCRIPT] }]);
  const browser = await Browser.start();
  const { data } = await server.call('GET', '/api/agents');
  const agent = data.agents.find((found) => found.name === name);
  const { sessionId } = await server.create({ agentId: agent.id, metadata: { username: SCRIPT, [SCRIPT]: SCRIPT } });
  await server.say(sessionId, SCRIPT, { attachments: [{ type: SCRIPT, url: 'javascript:window.hacked=true', name: SCRIPT }] });
  const page = await browser.page(server.url);
  // A long name is cut in the list.
  await page.locator('.sessions').getByText(name.slice(0, 70)).waitFor();
  await page.locator('.sessions .user').getByText(SCRIPT).waitFor();
  await page.locator('.sessions').getByRole('link').click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
  assert.equal((await words(page))[0], SCRIPT);
  await page.getByLabel('Message').fill(SCRIPT);
  await page.keyboard.press('Enter');
  await until(async () => (await words(page)).filter((text) => text === SCRIPT).length === 2, 'the message');
  assert.match(await page.locator('.facts pre').textContent(), /onerror/);
  await page.goto(`${server.url}/#/health`);
  await page.getByRole('row').filter({ hasText: name }).waitFor();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll('main script, main img').length), 0, 'no element was created from it');
  browser.assertNoComplaints();
});

test('the policy forbids what the pages do not need', async () => {
  const browser = await Browser.start();
  for (const path of ['/', '/docs', '/console/app.js', '/console/style.css']) {
    const response = await fetch(guarded.url + path);
    assert.equal(response.status, 200, path);
    const policy = response.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/, path);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/, path);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff', path);
    const etag = response.headers.get('etag');
    const again = await fetch(guarded.url + path, { headers: { 'If-None-Match': etag } });
    assert.deepEqual([again.status, await again.text()], [304, ''], `${path} is not sent twice`);
    const head = await fetch(guarded.url + path, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('etag'), await head.text()], [200, etag, ''], path);
  }
  const page = await browser.page(guarded.url, () => true);
  const blocked = await page.evaluate(async () => {
    const script = document.createElement('script');
    try {
      script.textContent = 'window.hacked = true';
    } catch {
      return 'refused';
    }
    document.head.append(script);
    return window.hacked ? 'ran' : 'blocked';
  });
  assert.notEqual(blocked, 'ran');
});
