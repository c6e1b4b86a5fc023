// Pages of other sites in a real browser: they cannot do anything to a server on this machine.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { ELIZA, PATIENCE, Server, endAll, until } from './console.mjs';

const CREATE = '/api/messaging/sessions';

let server;
let site;
let browser;

before(async () => {
  server = await Server.start();
  site = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>A page of another site</title>');
  });
  await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
  browser = await chromium.launch({
    executablePath: process.env.SESSIOND_CHROMIUM,
    // Foreign names that resolve to this machine, as those of a hostile site can.
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--host-resolver-rules=MAP *.example 127.0.0.1',
      // Newer browsers ask their users first; here the server must refuse.
      '--disable-features=LocalNetworkAccessChecks,PrivateNetworkAccessChecks',
    ],
  });
});
after(async () => {
  await browser?.close();
  site?.close();
  await endAll();
});

/** Opens a page of another site. */
async function foreignPage(url = `http://evil.example:${site.address().port}/`) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(url);
  return page;
}

const sessions = async () => (await server.call('GET', CREATE)).total;

/** Waits until the server has answered a call, even if the page cannot see the answer. */
async function refusedBy(page, act) {
  const isOurs = (request) => request.url().startsWith(server.url);
  const answered = Promise.race([
    page.waitForEvent('requestfinished', isOurs),
    page.waitForEvent('requestfailed', isOurs),
  ]);
  await act();
  const response = await (await answered).response().catch(() => null);
  assert.equal(response?.status() ?? 403, 403);
  assert.equal(await sessions(), 0, 'nothing was created');
}

const body = () => JSON.stringify({ agentId: ELIZA, userId: randomUUID() });

test('forms of another site create nothing', async () => {
  const page = await foreignPage();
  await refusedBy(page, () =>
    page.evaluate(
      ([action, json]) => {
        const form = document.createElement('form');
        Object.assign(form, { action, method: 'post', enctype: 'text/plain' });
        const field = document.createElement('input');
        // A form with this encoding sends valid JSON.
        Object.assign(field, { name: `${json.slice(0, -1)},"x":"`, value: '"}' });
        form.append(field);
        document.body.append(form);
        form.submit();
      },
      [server.url + CREATE, body()],
    ),
  );
});

test('fetches of another site without a preflight create nothing', async () => {
  const page = await foreignPage();
  await refusedBy(page, () =>
    page.evaluate(
      ([url, json]) => void fetch(url, { method: 'POST', mode: 'no-cors', body: new Blob([json]) }),
      [server.url + CREATE, body()],
    ),
  );
});

test('fetches of another site with JSON fail in the preflight', async () => {
  const page = await foreignPage();
  const outcome = await page.evaluate(
    async ([url, json]) => {
      const post = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: json };
      const calls = [fetch(url, post), fetch(url)];
      const settled = await Promise.allSettled(calls);
      return settled.map(({ status }) => status);
    },
    [server.url + CREATE, body()],
  );
  assert.deepEqual(outcome, ['rejected', 'rejected']);
  assert.equal(await sessions(), 0);
});

test('WebSockets and event streams of another site are refused', async () => {
  const page = await foreignPage();
  const { sessionId } = await server.create();
  const outcome = await page.evaluate(
    async ([ws, events]) => {
      const first = (target, names) =>
        new Promise((resolve) => names.forEach((name) => target.addEventListener(name, () => resolve(name))));
      return [
        await first(new WebSocket(ws), ['open', 'error']),
        await first(new EventSource(events), ['open', 'state', 'error']),
      ];
    },
    [
      `${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
      `${server.url}${CREATE}/${sessionId}/events`,
    ],
  );
  assert.deepEqual(outcome, ['error', 'error']);
  await server.call('DELETE', `${CREATE}/${sessionId}`);
});

test('a foreign host name for this machine is refused for every call', async () => {
  const page = await browser.newPage();
  for (const path of ['/', '/api/agents', CREATE]) {
    const response = await page.goto(`http://rebound.example:${server.port}${path}`);
    assert.equal(response.status(), 403, path);
  }
  // If the page was loaded before its name was changed to this machine, a call is same-origin.
  await page.route('**/before', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<title>Before</title>' }),
  );
  await page.goto(`http://rebound.example:${server.port}/before`);
  const status = await page.evaluate(async (url) => (await fetch(url)).status, CREATE);
  assert.equal(status, 403);
});

test('an allowed origin may use the whole API', async () => {
  const origin = `http://friend.example:${site.address().port}`;
  const open = await Server.start({ CORS_ORIGIN: origin });
  const page = await foreignPage(`${origin}/`);
  const found = await page.evaluate(
    async ([url, json]) => {
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': 'k' };
      const made = await fetch(url, { method: 'POST', headers, body: json });
      const { sessionId } = await made.json();
      const beat = await fetch(`${url}/${sessionId}/heartbeat`, { method: 'POST' });
      const gone = await fetch(`${url}/${sessionId}`, { method: 'DELETE' });
      const statuses = [made, beat, gone].map(({ status }) => status);
      return { statuses, location: made.headers.get('location'), id: made.headers.get('x-request-id') };
    },
    [open.url + CREATE, body()],
  );
  assert.deepEqual(found.statuses, [201, 200, 200]);
  assert.ok(found.location.startsWith(CREATE) && found.id, 'the exposed headers can be read');
  await until(async () => (await open.call('GET', CREATE)).total === 0, 'the end');
});
