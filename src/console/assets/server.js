// The server as its operators see it: storage, the last hour, warnings and settings.

import { api, reopenTokenPrompt } from './api.js';
import { emptyState, h, notify, saveFile, setText } from './dom.js';
import { ago, bytes, count, fullTime, plural } from './format.js';
import { Charts } from './history.js';
import { identity } from './identity.js';
import { status } from './status.js';
import { Warnings } from './warnings.js';

const INTERVAL = 10_000;

/** How often a running verification is looked at. */
const POLL = 1000;

export function serverView(signal) {
  return new Server(signal).element;
}

class Server {
  constructor(signal) {
    this.signal = signal;
    this.message = h('div', {});
    this.storage = new Storage(signal);
    this.charts = new Charts(60);
    this.warnings = new Warnings();
    this.settings = new Settings();
    this.parts = h('div', { class: 'view', hidden: true },
      this.storage.element,
      h('section', { class: 'view', 'aria-labelledby': 'hour' }, h('h2', { id: 'hour' }, 'The last hour'), this.charts.element, this.charts.table),
      this.warnings.element, this.settings.element);
    this.element = h('div', { class: 'view' }, h('div', { class: 'view-head' }, h('h1', {}, 'Server')), this.message, this.parts);
    this.keepFresh();
  }

  async keepFresh() {
    while (!this.signal.aborted) {
      if (!document.hidden) await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  }

  async refresh() {
    try {
      if (!(await identity()).isAdmin) {
        return this.fail('Not permitted', 'This page is for administrators. Sign in with the admin token.');
      }
      const { signal } = this;
      await Promise.all([
        this.part(this.storage, api.storage(signal)), this.part(this.charts, api.history(signal)),
        this.part(this.warnings, api.log(signal)), this.part(this.settings, api.settings(signal)),
      ]);
      this.message.replaceChildren();
      this.parts.hidden = false;
    } catch (error) {
      if (this.signal.aborted || (error.status === 0 && !this.parts.hidden)) return undefined;
      if (error.status === 401) this.fail('Not signed in', 'This page requires a token.', h('button', { type: 'button', onclick: reopenTokenPrompt }, 'Enter the token'));
      else this.fail('The server page cannot be shown', error.message);
    }
    return undefined;
  }

  /** Shows what a call returns. One that fails for its own reasons does not hide the others. */
  async part(card, call) {
    try {
      card.fill(await call);
    } catch (error) {
      if (this.signal.aborted || [0, 401, 403].includes(error.status)) throw error;
      card.fail(error.message ?? String(error));
    }
  }

  fail(title, text, ...actions) {
    this.parts.hidden = true;
    this.message.replaceChildren(emptyState(title, text, ...actions));
  }
}

class Storage {
  constructor(signal) {
    this.signal = signal;
    this.facts = h('dl', { class: 'pairs wide' });
    this.progress = h('p', { class: 'muted', role: 'status' });
    const button = (name, hint, act) => h('button', { type: 'button', title: hint, onclick: (event) => act(event.currentTarget) }, name);
    this.element = h('section', { class: 'card', 'aria-labelledby': 'storage' },
      h('h2', { id: 'storage' }, 'Storage'), this.facts, this.progress,
      h('div', { class: 'actions' },
        button('Verify', 'Reads the whole database file and checks every page and record', (pressed) => this.verify(pressed)),
        button('Backup', 'Downloads a checked copy of the database', (pressed) => this.save(pressed, '/api/admin/backup', 'application/octet-stream', 'redb')),
        button('Export', 'Downloads all sessions and messages as JSON Lines', (pressed) => this.save(pressed, '/api/admin/export', 'application/x-ndjson', 'jsonl'))));
  }

  fill({ path, bytes: size, freeBytes, freeOnDisk, verifiedAt, damagedPages, lastBackup }) {
    this.verifiedAt = verifiedAt;
    const time = (at) => h('time', { datetime: at, title: fullTime(at) }, ago(at, status.now()));
    const damage = damagedPages
      ? [time(verifiedAt), ', ', h('strong', { class: 'failure' }, plural(damagedPages, 'fault'))]
      : verifiedAt ? [time(verifiedAt), ', no damage'] : 'not yet since the start';
    this.facts.replaceChildren(...[
      ['File', h('span', { class: 'mono' }, path ?? 'in memory')],
      ['Size', bytes(size)],
      ['Free inside the file', freeBytes === null ? 'not measured yet' : bytes(freeBytes)],
      ['Free on the disk', freeOnDisk === null ? 'unknown' : bytes(freeOnDisk)],
      ['Last verification', damage],
      ['Last backup', lastBackup ? [time(lastBackup.at), `, ${bytes(lastBackup.bytes)}`] : 'none downloaded since the start'],
    ].map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, ...[value].flat()))));
  }

  fail(text) {
    this.facts.replaceChildren(h('p', { class: 'problem' }, text));
  }

  /** Verifies the file, and waits until a verification has ended that began with or after the call. */
  async verify(button) {
    await this.during(button, 'Verifying', async () => {
      const { startedAt } = await api.verify();
      for (;;) {
        const storage = await api.storage(this.signal);
        this.fill(storage);
        if (storage.verifiedAt && Date.parse(storage.verifiedAt) >= Date.parse(startedAt)) {
          status.refresh();
          return storage.damagedPages ? `Verified: ${plural(storage.damagedPages, 'fault')} found. The warnings below say more.` : 'Verified: no damage.';
        }
        await new Promise((resolve) => setTimeout(resolve, POLL));
      }
    });
  }

  async save(button, path, type, ending) {
    await this.during(button, 'Preparing the download', async () => {
      const file = await api.file(path, type, this.signal);
      const name = `sessiond-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.${ending}`;
      saveFile(name, file);
      return `Downloaded ${name}, ${bytes(file.size)}.`;
    });
  }

  async during(button, doing, act) {
    button.disabled = true;
    setText(this.progress, `${doing}…`);
    try {
      setText(this.progress, await act());
    } catch (error) {
      if (this.signal.aborted) return;
      setText(this.progress, '');
      notify(error.status === undefined ? 'The download was interrupted. Try again.' : error.message, 'bad');
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
    }
  }
}

/** The sources of settings in words. */
const SOURCES = { flag: 'command line', environment: 'environment', file: '.env file', default: 'default' };

class Settings {
  settings = [];

  constructor() {
    this.filter = h('input', { type: 'search', id: 'settings-filter', placeholder: 'Name, value or source', spellcheck: 'false', autocomplete: 'off', oninput: () => this.show() });
    this.found = h('p', { class: 'muted', role: 'status' });
    this.body = h('tbody', {});
    this.element = h('section', { class: 'card', 'aria-labelledby': 'settings' },
      h('div', { class: 'card-head' }, h('h2', { id: 'settings' }, 'Settings in effect'),
        h('div', { class: 'field' }, h('label', { for: 'settings-filter' }, 'Filter the settings'), this.filter)),
      this.found,
      h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'Table of the settings' },
        h('table', { class: 'settings' },
          h('thead', {}, h('tr', {}, ...['Name', 'Value', 'Source', 'Default'].map((name) => h('th', { scope: 'col' }, name)))), this.body)));
  }

  fill(settings) {
    const received = JSON.stringify(settings);
    if (received === this.received) return;
    this.received = received;
    this.settings = settings;
    this.show();
  }

  fail(text) {
    setText(this.found, text);
  }

  show() {
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = this.settings.filter(({ name, value, source }) => `${name} ${value ?? ''} ${SOURCES[source] ?? source}`.toLowerCase().includes(wanted));
    setText(this.found, wanted ? `${count(shown.length)} of ${plural(this.settings.length, 'setting')}` : plural(this.settings.length, 'setting'));
    const text = (value) => (value === null || value === undefined ? h('span', { class: 'muted' }, 'not set') : String(value));
    this.body.replaceChildren(...shown.map(({ name, value, source, default: usual }) => h('tr', {},
      h('th', { scope: 'row', class: 'mono' }, name),
      h('td', { class: 'mono' }, text(value)),
      h('td', {}, source === 'default' ? h('span', { class: 'muted' }, 'default') : h('span', { class: 'chip' }, SOURCES[source] ?? source)),
      h('td', { class: 'mono muted' }, text(usual)))));
  }
}
