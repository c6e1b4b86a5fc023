// The first chat of `docs/frontend.md`, as a page of another origin.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, test } from 'node:test';

import { Browser, Server, endAll, until } from './console.mjs';

after(endAll);

test('a page of another origin chats with the client library', async (t) => {
  const server = await Server.start();
  const text = await readFile(process.env.SESSIOND_FRONTEND_DOCUMENT, 'utf8');
  const [, page] = /```html\n(.*?)```/s.exec(text);
  const pages = createServer((request, response) => {
    response.writeHead(request.url === '/chat.html' ? 200 : 204, { 'Content-Type': 'text/html' });
    response.end(request.url === '/chat.html' ? page.replaceAll('http://127.0.0.1:3000', server.url) : undefined);
  });
  await once(pages.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    pages.close();
    pages.closeAllConnections();
  });

  const browser = await Browser.start();
  const chat = await browser.page(`http://localhost:${pages.address().port}/chat.html`);
  const lines = () => chat.locator('li').allTextContents();
  await until(() => chat.evaluate(() => document.querySelector('form').onsubmit !== null), 'the chat is ready');
  for (const [count, words] of [[2, 'Hello.'], [4, '<b>My roses</b> are ill.']]) {
    await chat.getByLabel('Message').fill(words);
    await chat.getByRole('button', { name: 'Send' }).click();
    await until(async () => {
      const shown = await lines();
      return shown.length === count && shown[count - 2] === words && shown[count - 1] !== '…';
    }, 'the reply');
  }
  const { sessions: [session] } = await server.call('GET', '/api/messaging/sessions');
  const { messages } = await server.call('GET', `/api/messaging/sessions/${session.sessionId}/messages`);
  assert.deepEqual(messages.map(({ content }) => content).reverse(), await lines());
  browser.assertNoComplaints();
});
