// The agents page, and the health of agents: a model server that is down, repaired and probed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { Browser, ELIZA, Server, assertAccessible, endAll, until, words } from './console.mjs';

const SCRIPT = '<script>window.hacked = true</script><img src=x onerror="window.hacked = true">';

/** The name is isolated from the words around it, whatever its direction. */
const ADA_FAILS = /^\u2068Ada\u2069 is failing$/;

/** A model server that can be down, and whose answer a test chooses. */
class Model {
  port = 0;
  answer = (response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ model: 'gemma3:4b', choices: [{ message: { role: 'assistant', content: 'I am well.' }, finish_reason: 'stop' }] }));
  };

  async start() {
    this.server = createServer((request, response) => {
      request.resume();
      request.on('end', () => this.answer(response));
    });
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
  }

  stop() {
    this.server?.closeAllConnections();
    this.server?.close();
  }

  agent(name) {
    return { name, settings: { backend: { type: 'openai', baseUrl: `http://127.0.0.1:${this.port}/v1`, model: 'gemma3', timeoutSeconds: 2 } } };
  }
}

let model;
let server;
let ids;

before(async () => {
  model = new Model();
  await model.start();
  model.stop();
  server = await Server.start({}, [model.agent('Ada'), model.agent(`Mallory ${SCRIPT}`)]);
  const { data } = await server.call('GET', '/api/agents');
  ids = Object.fromEntries(data.agents.map(({ id, name }) => [name.split(' ')[0], id]));
});
after(async () => {
  model.stop();
  await endAll();
});

async function failATurn(agentId) {
  const { sessionId } = await server.create({ agentId });
  await assert.rejects(server.say(sessionId, 'Hello'));
}

const card = (page, name) => page.getByRole('region', { name });
const chip = (page) => page.locator('#state');

test('a newcomer sees that a model server is down and why, repairs it, probes it and chats', async () => {
  await failATurn(ids.Ada);
  const browser = await Browser.start();
  const page = await browser.page(`${server.url}/#/health`);
  await page.getByRole('heading', { level: 1, name: ADA_FAILS }).waitFor();
  await chip(page).getByText(ADA_FAILS).waitFor();
  await page.getByText(`at http://127.0.0.1:${model.port}/v1: cannot connect: Connection refused`).waitFor();
  await page.getByRole('link', { name: 'See the agents' }).click();
  await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  assert.match(await page.title(), /^Agents/);

  const ada = card(page, 'Ada');
  await ada.getByText('Failing', { exact: true }).waitFor();
  await ada.getByText('The model server is unavailable.').waitFor();
  for (const text of ['openai', 'gemma3', `http://127.0.0.1:${model.port}/v1`, ids.Ada]) assert.ok((await ada.innerText()).includes(text), text);
  await ada.getByRole('button', { name: 'Probe' }).click();
  await ada.getByRole('heading', { name: 'The probe failed' }).waitFor();
  await assertAccessible(page, 'a failing agent');

  await model.start();
  await ada.getByRole('button', { name: 'Probe' }).click();
  await ada.getByRole('heading', { name: 'The agent replies' }).waitFor();
  await ada.getByText(/^First words after [\d.,]+ (µs|ms|s), model gemma3/).waitFor();
  await ada.getByText('Working', { exact: true }).waitFor();
  await chip(page).getByText(/active session/).waitFor();
  await ada.getByRole('button', { name: 'Chat' }).click();
  await page.getByRole('heading', { level: 1, name: 'Ada' }).waitFor();
  await page.getByLabel('Message').fill('How are you?');
  await page.keyboard.press('Enter');
  await until(async () => (await words(page)).at(-1)?.trim() === 'I am well.', 'the reply');
  await page.goto(`${server.url}/#/health`);
  await page.getByRole('heading', { level: 1, name: 'Healthy' }).waitFor();
  browser.assertNoComplaints();
});

test('hostile names and causes are shown as text', async (context) => {
  const usual = model.answer;
  context.after(() => { model.answer = usual; });
  model.answer = (response) => {
    response.writeHead(400, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ error: { message: `<svg onload=alert(1) onerror=alert(2)> ${'\u202e'}${'long'.repeat(200)}` } }));
  };
  await failATurn(ids.Mallory);
  const browser = await Browser.start({ viewport: { width: 320, height: 640 } });
  const page = await browser.page(`${server.url}/#/agents`);
  const mallory = card(page, `Mallory ${SCRIPT}`);
  await mallory.locator('.cause').filter({ hasText: 'onerror' }).waitFor();
  await mallory.getByRole('button', { name: 'Probe' }).click();
  await mallory.locator('.probe .cause').filter({ hasText: 'onerror' }).waitFor();
  for (const view of ['agents', 'health', 'server']) {
    await page.goto(`${server.url}/#/${view}`);
    await page.locator('#main').getByText('Mallory').first().waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${view} fits`);
    assert.equal(await page.evaluate(() => document.querySelectorAll('main script, main img').length), 0, view);
  }
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  browser.assertNoComplaints();
});

test('an agent is probed once at a time, and its id can be copied', async (context) => {
  const usual = model.answer;
  context.after(() => { model.answer = usual; });
  const held = [];
  model.answer = (response) => held.push(response);
  const browser = await Browser.start();
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const first = await browser.page(`${server.url}/#/agents`);
  await card(first, 'Ada').getByRole('button', { name: 'Copy' }).click();
  await until(async () => (await first.evaluate(() => navigator.clipboard.readText())) === ids.Ada, 'the copy');
  await card(first, 'Ada').getByRole('button', { name: 'Probe' }).click();
  await until(() => held.length, 'the call');
  const second = await browser.page(`${server.url}/#/agents`, (text) => text.includes('429'));
  await card(second, 'Ada').getByRole('button', { name: 'Probe' }).click();
  await second.getByText('The agent is being probed already.').waitFor();
  for (const response of held.splice(0)) usual(response);
  await card(first, 'Ada').getByRole('heading', { name: 'The agent replies' }).waitFor();
  browser.assertNoComplaints();
});

test('an agent that refuses is not failing, and a conversation starts with a model', async () => {
  const { agents } = await server.call('GET', '/api/admin/agents');
  const lastFailure = { at: new Date().toISOString(), reason: 'refused', cause: 'not about this' };
  const browser = await Browser.start();
  const page = await browser.page(server.url);
  await page.route('**/api/admin/agents', (route) => route.fulfill({ json: { agents: agents.map((agent) => ({ ...agent, turns: 1, failures: 1, lastFailure })) } }));
  await page.goto(`${server.url}/#/agents`);
  await card(page, 'Ada').getByText('not about this').waitFor();
  await page.goto(`${server.url}/#/health`);
  await page.getByRole('heading', { level: 1, name: 'Healthy' }).waitFor();
  await page.goto(server.url);
  await page.getByRole('button', { name: 'Start a conversation' }).click();
  const dialog = page.getByRole('dialog');
  assert.notEqual(await dialog.getByLabel('Agent').inputValue(), ELIZA);
  await dialog.getByLabel('User').fill('Ada');
  await dialog.getByRole('button', { name: 'Start' }).click();
  await dialog.getByRole('alert').filter({ hasText: /“User”/ }).waitFor();
  assert.deepEqual(browser.complaints.filter((text) => !text.includes('400')), []);
});
