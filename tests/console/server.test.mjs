// The server page and Health: storage, the last hour, warnings, settings, and what is wrong.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Browser, ELIZA, PATIENCE, Server, assertAccessible, endAll, until } from './console.mjs';

const TOKEN = 'an-admin-token-that-stays-secret';
const SCRIPT = '<script>window.hacked = true</script><img src=x onerror="window.hacked = true">';

let server;

before(async () => {
  const broken = { name: `Bob ${SCRIPT}`, settings: { backend: { type: 'openai', baseUrl: 'http://127.0.0.1:9/v1', model: SCRIPT, timeoutSeconds: 1 } } };
  server = await Server.start({ KEEP_ALIVE_SECONDS: '60', SESSIOND_CACHE_MB: '64' }, [broken]);
  const { data } = await server.call('GET', '/api/agents');
  const { sessionId } = await server.create({ agentId: data.agents.find(({ id }) => id !== ELIZA).id });
  await server.say(sessionId, 'Hello').catch(() => undefined);
  const { sessionId: other } = await server.create();
  for (let index = 0; index < 3; index += 1) await server.say(other, 'Hello');
});
after(endAll);

const part = (page, name) => page.getByRole('region', { name, exact: true });

test('storage is shown, verified, backed up and exported', async () => {
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/server`);
  const storage = part(page, 'Storage');
  await storage.getByText('sessiond.redb').waitFor();
  const { bytes } = await server.call('GET', '/api/admin/storage');
  assert.match(await storage.innerText(), new RegExp(`${Math.round(bytes / 1024)}`));
  const { verifiedAt } = await server.call('GET', '/api/admin/storage');
  await storage.getByRole('button', { name: 'Verify' }).click();
  await storage.getByText('Verified: no damage.').waitFor();
  assert.ok((await server.call('GET', '/api/admin/storage')).verifiedAt > (verifiedAt ?? ''), 'it was really verified');

  const [backup] = await Promise.all([page.waitForEvent('download'), storage.getByRole('button', { name: 'Backup' }).click()]);
  assert.match(backup.suggestedFilename(), /^sessiond-\d{4}-\d\d-\d\dT\d{6}Z\.redb$/);
  assert.equal(readFileSync(await backup.path()).subarray(0, 4).toString(), 'redb');
  const [file] = await Promise.all([page.waitForEvent('download'), storage.getByRole('button', { name: 'Export' }).click()]);
  const lines = readFileSync(await file.path(), 'utf8').trim().split('\n');
  assert.equal(lines.map((line) => JSON.parse(line)).length, 2 + 7, 'each session and message has a line');
  await page.reload();
  await storage.getByText(/^just now, |^\d+ s ago, [\d.,]+ KiB/).first().waitFor();
  browser.assertNoComplaints();
});

test('settings are filtered by name, value and source, and secrets stay secret', async () => {
  const guarded = await Server.start({ SESSIOND_ADMIN_TOKEN: TOKEN, KEEP_ALIVE_SECONDS: '61' });
  const browser = await Browser.start();
  const page = await browser.page(`${guarded.url}/#/server`, (text) => text.includes('401'));
  await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN);
  await page.keyboard.press('Enter');
  const settings = part(page, 'Settings in effect');
  const rows = settings.locator('tbody tr');
  await settings.getByRole('row').filter({ hasText: 'SERVER_HOST' }).waitFor();
  assert.ok((await rows.count()) > 20);
  const filter = settings.getByRole('searchbox');
  await filter.fill('keep_alive');
  assert.equal(await rows.count(), 1);
  assert.deepEqual(await rows.locator('th, td').allInnerTexts(), ['KEEP_ALIVE_SECONDS', '61', 'environment', '75']);
  await filter.fill('(set)');
  assert.deepEqual(await rows.locator('th').allInnerTexts(), ['SESSIOND_ADMIN_TOKEN']);
  await filter.fill('no such setting');
  assert.equal(await rows.count(), 0);
  await settings.getByText(/^0 of \d+ settings$/).waitFor();
  await filter.fill('');
  assert.ok(!(await page.content()).includes(TOKEN));
  browser.assertNoComplaints();
});

test('warnings are shown newest first, as text, and filtered by level', async () => {
  const browser = await Browser.start({ viewport: { width: 320, height: 640 } });
  const page = await browser.page(`${server.url}/#/server`);
  const warnings = part(page, 'Warnings');
  const lines = warnings.getByRole('listitem');
  await warnings.getByText('onerror').first().waitFor();
  const { entries } = await server.call('GET', '/api/admin/log');
  assert.equal(await lines.count(), entries.length);
  const times = await lines.locator('time').evaluateAll((found) => found.map(({ dateTime }) => dateTime));
  assert.deepEqual(times, times.toSorted().toReversed());
  await warnings.getByLabel('Level').selectOption('Errors only');
  assert.equal(await lines.count(), entries.filter(({ level }) => level === 'ERROR').length);
  await warnings.getByLabel('Level').selectOption('Warnings only');
  assert.equal(await lines.count(), entries.filter(({ level }) => level === 'WARN').length);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll('main script, main img').length), 0);
  browser.assertNoComplaints();
});

test('the last hour has axes, units and a table, and a reload does not begin empty', async () => {
  await until(async () => {
    const { series } = await server.call('GET', '/api/admin/metrics/history');
    return Object.values(series).some((values) => values.filter((value) => value !== null).length > 2);
  }, 'three points, 30 s after the start', 2 * PATIENCE);
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/server`);
  const memory = part(page, 'Memory');
  await until(() => memory.locator('.line').getAttribute('d'), 'a line');
  assert.match(await memory.innerText(), /MiB[\s\S]*0 B[\s\S]*60 min ago[\s\S]*now[\s\S]*lowest [\d.]+ MiB, highest [\d.]+ MiB/);
  await page.getByText('As a table').click();
  const row = page.locator('.history tbody tr').first();
  assert.match(await row.innerText(), /^\d\d:\d\d:\d\d[\s\S]*\/s[\s\S]* MiB/);
  await page.goto(`${server.url}/#/health`);
  await page.reload();
  await until(() => memory.locator('.line').getAttribute('d'), 'a line');
  assert.ok((await memory.locator('.line').getAttribute('d')).split('L').length > 2, 'it begins with what the server remembers');
  browser.assertNoComplaints();
});

test('Health names a full disk and damage, and says where to act', async () => {
  const open = await Server.start();
  const browser = await Browser.start();
  const page = await browser.page(`${open.url}/#/health`, (text) => text.includes('503'));
  await page.getByRole('heading', { level: 1, name: 'Healthy' }).waitFor();
  const health = await open.call('GET', '/api/messaging/sessions/health');
  const storage = await open.call('GET', '/api/admin/storage');
  /** A test cannot fill or damage a disk of its own everywhere, so this is what the server would say. */
  const say = async (status, reasons, freeOnDisk = storage.freeOnDisk, fields = {}) => {
    await page.unrouteAll();
    await page.route('**/sessions/health', (route) => route.fulfill({ status: status === 'unhealthy' ? 503 : 200, json: { ...health, status, reasons, ...fields } }));
    await page.route('**/admin/storage', (route) => route.fulfill({ json: { ...storage, freeOnDisk } }));
    await page.reload();
  };
  const heading = (name) => page.getByRole('heading', { level: 1, name }).waitFor();
  await say('unhealthy', ['no_space']);
  await heading('The disk is full');
  await page.locator('#state[data-kind="unhealthy"]').getByText('The disk is full').waitFor();
  await say('healthy', undefined, 20 * 1024 * 1024);
  await heading('The disk is almost full');
  await page.getByText('Only 20 MiB are free').waitFor();
  await page.locator('#state').getByText('The disk is almost full').waitFor();
  await say('degraded', ['damaged_pages', 'undecodable_records'], undefined, { invalidSessions: 3 });
  await heading('The database file is damaged; Some records are damaged');
  await page.getByText('3 sessions affected so far.').waitFor();
  await page.locator('#state').getByText('The database file is damaged and 1 more').waitFor();
  await assertAccessible(page, 'a damaged server');
  await page.getByRole('link', { name: 'See the storage' }).first().click();
  await part(page, 'Storage').waitFor();
  browser.assertNoComplaints();
});

test('Health and Server say whether scheduled backups are made', async () => {
  // An hour of the schedule lasts three seconds.
  const scheduled = new Server({ BACKUP_EVERY_HOURS: '1', SESSION_TIME_SCALE: '1200' });
  const directory = join(scheduled.home, 'backups');
  scheduled.settings.BACKUP_DIR = directory;
  mkdirSync(directory);
  await scheduled.launch();
  const browser = await Browser.start();
  const page = await browser.page(`${scheduled.url}/#/server`);
  const storage = part(page, 'Storage');
  await storage.getByText('every 1 h').waitFor();
  await storage.getByText(/^(just now|\d+ s ago), [\d.]+ KiB$/).waitFor();

  rmSync(directory, { recursive: true });
  await until(async () => (await scheduled.call('GET', '/api/admin/log')).entries.length, 'a failure');
  const show = async (name) => {
    await page.goto(`${scheduled.url}/#/health`);
    await page.reload();
    await page.getByRole('heading', { level: 1, name }).waitFor();
  };
  await show('Backups fail');
  await page.getByText(`${directory}: No such file or directory`).waitFor();
  await page.locator('#state').getByText('Backups fail').waitFor();
  await assertAccessible(page, 'backups that fail');
  // A download is a backup, too, but those of the schedule still fail.
  await fetch(`${scheduled.url}/api/admin/backup`).then((response) => response.arrayBuffer());
  await show('Backups fail');
  mkdirSync(directory);
  await page.getByRole('heading', { level: 1, name: 'Healthy' }).waitFor();

  // A test cannot wait for hours.
  const answer = await scheduled.call('GET', '/api/admin/storage');
  const health = await scheduled.call('GET', '/api/messaging/sessions/health');
  const say = async (hours, hoursUp, name) => {
    await page.unrouteAll();
    const lastBackup = hours && { at: new Date(Date.now() - hours * 3_600_000).toISOString(), bytes: 4096 };
    await page.route('**/admin/log', (route) => route.fulfill({ json: { entries: [] } }));
    await page.route('**/sessions/health', (route) => route.fulfill({ json: { ...health, uptime: hoursUp * 3600 } }));
    await page.route('**/admin/storage', (route) => route.fulfill({ json: { ...answer, lastBackup } }));
    await show(name);
  };
  await say(3, 0, 'The backup is overdue');
  await page.getByText('One is due every 1 h. The last one was made 3 h ago.').waitFor();
  await say(1.5, 9, 'Healthy');
  await say(null, 3, 'The backup is overdue');
  await page.getByText('None has been made yet.').waitFor();
  await say(null, 1, 'Healthy');
  browser.assertNoComplaints();
});

test('pages print without controls, and states need no colors', async () => {
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/server`);
  await part(page, 'Storage').getByText('sessiond.redb').waitFor();
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.getByRole('navigation', { name: 'Views' }).isVisible(), false);
  assert.equal(await page.locator('button:visible').count(), 0);
  await page.emulateMedia({ media: 'screen', forcedColors: 'active' });
  await assertAccessible(page, 'forced colors');
  const current = page.getByRole('link', { name: 'Server', exact: true });
  assert.match(await current.evaluate((link) => getComputedStyle(link).textDecorationLine), /underline/);
  browser.assertNoComplaints();
});

test('a link that leads nowhere says so, and the focus follows the views', async () => {
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/nowhere`);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  assert.match(await page.title(), /^Page not found/);
  await page.goto(`${server.url}/#/sessions/%E0%A4%A`);
  await page.getByRole('heading', { name: 'Session not found' }).waitFor();
  await page.getByRole('link', { name: 'Agents', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  assert.deepEqual(await page.evaluate(() => [document.activeElement.id, document.activeElement.getAttribute('aria-label')]), ['main', 'Agents']);
  assert.deepEqual(browser.complaints.filter((text) => !/40[04]/.test(text)), []);
});

test('a slow server is waited for, and the page says so', async () => {
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/nowhere`);
  const slow = [['', /\/messaging\/sessions\?/, page.getByLabel('Select all on this page')], ['server', /\/admin\/log$/, part(page, 'Storage')]];
  for (const [view, call, shown] of slow) {
    let answer;
    // Only the first call is held.
    await page.route(call, (route) => {
      if (answer) route.continue();
      else answer = () => route.continue();
    });
    await page.goto(`${server.url}/#/${view}`);
    await page.getByRole('status').filter({ hasText: 'Loading' }).waitFor();
    await until(() => answer, 'the call');
    answer();
    await shown.waitFor();
    assert.equal(await page.getByText('Loading', { exact: true }).count(), 0);
  }
  browser.assertNoComplaints();
});
