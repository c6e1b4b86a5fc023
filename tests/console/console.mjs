// Helpers of the console's tests: servers, a browser, and calls of the API.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import axe from 'axe-core';
import { chromium } from 'playwright-core';

export const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';

/** Generous, since a test machine may be busy. */
export const PATIENCE = 20_000;

const servers = new Set();
const browsers = new Set();

/** A server that can be killed and restarted at the same address. */
export class Server {
  constructor(settings = {}) {
    this.home = mkdtempSync(join(tmpdir(), 'sessiond-console-'));
    this.settings = settings;
    this.port = 0;
    servers.add(this);
  }

  static async start(settings, agents = []) {
    const server = new Server(settings);
    const directory = join(server.home, 'data', 'agents');
    mkdirSync(directory, { recursive: true });
    agents.forEach((agent, index) => {
      writeFileSync(join(directory, `${index}.json`), JSON.stringify(agent));
    });
    await server.launch();
    return server;
  }

  async launch() {
    const env = {
      PATH: process.env.PATH, DATA_DIR: join(this.home, 'data'), SERVER_PORT: String(this.port), LOG_FORMAT: 'text', NO_COLOR: '1', ...this.settings,
    };
    this.process = spawn(process.env.SESSIOND_BINARY, [], { env, cwd: this.home });
    let log = '';
    this.url = await new Promise((resolve, reject) => {
      const read = (text) => {
        log += text;
        const found = /listening on (http:\/\/[\w.:]+)/.exec(log);
        if (found) resolve(found[1]);
      };
      this.process.stdout.on('data', read);
      this.process.stderr.on('data', read);
      this.process.on('exit', () => reject(new Error(`the server ended: ${log}`)));
    });
    this.port = new URL(this.url).port;
  }

  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }

  async call(method, path, body) {
    const headers = { 'Content-Type': 'application/json', ...(this.settings.ELIZA_SERVER_AUTH_TOKEN && { 'X-API-KEY': this.settings.ELIZA_SERVER_AUTH_TOKEN }) };
    const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const answer = await response.json();
    assert.ok(response.ok, `${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  create(fields = {}) {
    return this.call('POST', '/api/messaging/sessions', { agentId: ELIZA, userId: randomUUID(), ...fields });
  }

  say(id, content, fields = {}) {
    return this.call('POST', `/api/messaging/sessions/${id}/messages`, { content, transport: 'http', ...fields });
  }
}

/** A browser whose pages must log no errors and violate no policy. */
export class Browser {
  complaints = [];
  requests = [];

  static async start({ args = [], ...options } = {}) {
    const browser = new Browser();
    browser.chromium = await chromium.launch({ executablePath: process.env.SESSIOND_CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', ...args] });
    browser.context = await browser.chromium.newContext({ viewport: { width: 1200, height: 860 }, acceptDownloads: true, ...options });
    browser.context.setDefaultTimeout(PATIENCE);
    browsers.add(browser);
    return browser;
  }

  /** Opens a page; `expected` accepts the errors that are part of the test. */
  async page(url, expected = () => false) {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.complaints.push(`error: ${error.stack}`));
    page.on('dialog', (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('console', (message) => {
      const text = `${message.text()} ${message.location().url}`;
      if (message.type() === 'error' && !expected(text)) this.complaints.push(text);
    });
    page.on('request', (request) => this.requests.push({ url: request.url(), headers: request.headers() }));
    await page.goto(url);
    return page;
  }

  assertNoComplaints() {
    assert.deepEqual(this.complaints, []);
  }
}

/** Ends all servers and browsers. */
export async function endAll() {
  for (const browser of browsers) await browser.chromium.close();
  for (const server of servers) {
    await server.kill();
    rmSync(server.home, { recursive: true, force: true });
  }
}

/** Waits until a condition holds. */
export async function until(holds, what, patience = PATIENCE) {
  const start = Date.now();
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() - start > patience) assert.fail(`${what} never came`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Returns the texts of the messages on a page, in order. */
export const words = (page) => page.locator('.message .words').allTextContents();

/** Checks the page with axe. */
export async function assertAccessible(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n  ')}`);
  assert.deepEqual(found, [], `${what} is accessible`);
}

/** Takes a screenshot if SESSIOND_SCREENSHOTS is set. */
export async function picture(page, name) {
  const directory = process.env.SESSIOND_SCREENSHOTS;
  if (!directory) return;
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(directory, `${name}.png`) });
}
