// Every view in both color schemes, wide and narrow: accessible, and never wider than the screen.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, Server, assertAccessible, endAll, picture, until, words } from './console.mjs';

const SCREENS = { wide: { width: 1200, height: 860 }, narrow: { width: 320, height: 780 } };

let server;
let guarded;
let sessionId;

before(async () => {
  guarded = await Server.start({ ELIZA_SERVER_AUTH_TOKEN: 'x'.repeat(20) });
  server = await Server.start();
  const names = ['Ada', 'Grace', 'Linus', undefined, 'Margaret', undefined];
  for (let index = 0; index < 30; index += 1) {
    const username = names[index % names.length];
    const timeoutMinutes = [5, 30, 60, 120, 10][index % 5];
    const session = await server.create({
      metadata: username ? { username, platform: 'web' } : {}, timeoutConfig: { timeoutMinutes, warningThresholdMinutes: index % 5 ? 3 : 6 },
    });
    if (username === 'Ada') ({ sessionId } = session);
    if (index % 3 === 0) await server.say(session.sessionId, 'Hello there.');
  }
  for (const text of ['Hi, my name is Ada.', 'I am worried about my exam on Thursday.', 'My mother always asks about it.']) await server.say(sessionId, text);
});
after(endAll);

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(SCREENS)) {
    test(`the views, ${size} and ${colorScheme}`, async () => {
      const browser = await Browser.start({ colorScheme, viewport, reducedMotion: 'reduce' });
      const page = await browser.page(server.url, (text) => text.includes('401'));
      const look = async (name) => {
        await picture(page, `${name}-${size}-${colorScheme}`);
        await assertAccessible(page, `${name}, ${size}, ${colorScheme}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
      };
      await until(async () => (await page.locator('.sessions tbody tr').count()) === 25, 'the list');
      await look('list');
      await page.getByRole('button', { name: 'Start a conversation' }).click();
      await page.getByRole('dialog').waitFor();
      await look('start');
      await page.keyboard.press('Escape');

      await page.goto(`${server.url}/#/sessions/${sessionId}`);
      await until(async () => (await words(page)).length >= 6, 'the transcript');
      await page.getByRole('heading', { level: 1, name: 'Eliza' }).waitFor();
      await look('session');
      for (const [button, name] of [['Change timeout', 'timeout'], ['Delete', 'delete']]) {
        await page.getByRole('button', { name: button }).click();
        await page.getByRole('dialog').waitFor();
        await look(name);
        await page.keyboard.press('Escape');
      }

      await page.goto(`${server.url}/#/health`);
      await page.getByRole('row').filter({ hasText: 'Eliza' }).waitFor();
      await until(async () => await page.locator('.chart .line').first().getAttribute('d'), 'a line');
      await look('health');

      await page.goto(`${server.url}/#/agents`);
      await page.getByRole('button', { name: 'Probe' }).waitFor();
      await look('agents');

      await page.goto(`${server.url}/#/server`);
      await page.getByRole('row').filter({ hasText: 'SERVER_HOST' }).waitFor();
      await look('server');

      await page.goto(`${server.url}/docs`);
      await page.locator('#listSessions').waitFor();
      await look('docs');

      await page.goto(`${guarded.url}/`);
      await page.getByRole('heading', { name: 'This server requires a token' }).waitFor();
      await look('token');
      browser.assertNoComplaints();
    });
  }
}
