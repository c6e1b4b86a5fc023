// The server as its operators see it: storage, the last hour, warnings and settings.

import { admin } from './api.js';
import { readStorage } from './backups.js';
import { field } from './dialogs.js';
import { card, h, saveFile, setText, slowButton, table, terms, timeElement } from './dom.js';
import { ago, bytes, count, plural } from './format.js';
import { Charts } from './history.js';
import { status } from './status.js';
import { View, pause, requireAdmin } from './view.js';
import { Warnings } from './warnings.js';

const INTERVAL = 10_000;

/** How often a running verification is looked at. */
const POLL = 1000;

export const serverView = (signal) => new Server(signal).element;

class Server extends View {
  constructor(signal) {
    super('Server', 'The details of the server', signal);
    const charts = new Charts(60);
    this.parts = [[new Storage(signal), readStorage], [charts, admin.history], [new Warnings(), admin.log], [new Settings(), admin.settings]];
    this.content.append(...this.parts.map(([{ element }]) => element));
    charts.element.before(h('h2', {}, 'The last hour'));
    charts.element.after(charts.table);
    this.keepFresh(INTERVAL);
  }

  async refresh() {
    await requireAdmin();
    await Promise.all(this.parts.map((part) => this.fill(...part)));
    this.show();
  }

  /** Shows what a call returns. One that fails for its own reasons does not hide the others. */
  async fill(part, call) {
    try {
      part.fill(await call({ signal: this.signal }));
      part.problem?.remove();
    } catch (error) {
      if ([undefined, 0, 401, 403].includes(error.status)) throw error;
      part.problem ??= h('p', { class: 'problem' });
      part.problem.textContent = error.message;
      part.element.prepend(part.problem);
    }
  }
}

class Storage {
  constructor(signal) {
    this.signal = signal;
    this.facts = h('dl', { class: 'pairs wide' });
    this.progress = h('p', { class: 'muted', role: 'status' });
    const action = (name, doing, act) => slowButton(name, () => this.during(doing, act));
    this.element = card('Storage', this.facts, this.progress, h('div', { class: 'actions' },
      action('Verify', 'Verifying', () => this.verify()),
      action('Backup', 'Preparing the download', () => this.save(admin.backup, 'redb')),
      action('Export', 'Preparing the download', () => this.save(admin.export, 'jsonl'))));
  }

  fill({ path, bytes: size, freeBytes, freeOnDisk, verifiedAt, damagedPages, lastBackup, hours }) {
    const since = (at) => timeElement(at, ago(at, status.now()));
    const damage = damagedPages ? h('strong', { class: 'failure' }, plural(damagedPages, 'fault')) : 'no damage';
    this.facts.replaceChildren(...terms([
      ['File', h('span', { class: 'mono' }, path ?? 'in memory')],
      ['Size', bytes(size)],
      ['Free inside the file', freeBytes === null ? 'not measured yet' : bytes(freeBytes)],
      ['Free on the disk', freeOnDisk === null ? 'unknown' : bytes(freeOnDisk)],
      ['Last verification', verifiedAt ? [since(verifiedAt), ', ', damage] : 'not yet since the start'],
      ['Last backup', lastBackup ? [since(lastBackup.at), `, ${bytes(lastBackup.bytes)}`] : 'none yet'],
      ['Scheduled backups', hours ? `every ${count(hours)} h` : 'off'],
    ]));
  }

  /** Verifies the file, and waits until a verification has ended that began with or after the call. */
  async verify() {
    const { startedAt } = await admin.verify();
    for (;;) {
      const storage = await readStorage({ signal: this.signal });
      this.fill(storage);
      if (Date.parse(storage.verifiedAt) >= Date.parse(startedAt)) {
        status.refresh();
        return storage.damagedPages ? `Verified: ${plural(storage.damagedPages, 'fault')} found. The warnings below say more.` : 'Verified: no damage.';
      }
      await pause(POLL);
    }
  }

  async save(read, ending) {
    const file = await read({ signal: this.signal });
    const name = `sessiond-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.${ending}`;
    saveFile(name, file);
    return `Downloaded ${name}, ${bytes(file.size)}.`;
  }

  /** Says that an action runs, and how it ends. */
  async during(doing, act) {
    let end = '';
    setText(this.progress, `${doing}…`);
    try {
      end = await act();
    } finally {
      setText(this.progress, end);
    }
  }
}

/** The sources of settings in words. */
const SOURCES = { flag: 'command line', environment: 'environment', file: '.env file', default: 'default' };

class Settings {
  constructor() {
    this.filter = h('input', { type: 'search', placeholder: 'Name, value or source', spellcheck: 'false', autocomplete: 'off', oninput: () => this.show() });
    this.found = h('p', { class: 'muted', role: 'status' });
    const [box, rows] = table('Table of the settings', ['Name', 'Value', 'Source', 'Default'], 'settings');
    this.rows = rows;
    this.element = card('Settings in effect', field('Filter the settings', this.filter), this.found, box);
  }

  /** Takes the settings, which do not change while the server runs. */
  fill(settings) {
    if (settings.length === this.settings?.length) return;
    this.settings = settings;
    this.show();
  }

  show() {
    const wanted = this.filter.value.trim().toLowerCase();
    const all = plural(this.settings.length, 'setting');
    const shown = this.settings.filter(({ name, value, source }) => `${name} ${value ?? ''} ${SOURCES[source]}`.toLowerCase().includes(wanted));
    setText(this.found, wanted ? `${count(shown.length)} of ${all}` : all);
    const text = (value) => value ?? h('span', { class: 'muted' }, 'not set');
    this.rows.replaceChildren(...shown.map(({ name, value, source, default: usual }) => h('tr', {},
      h('th', { scope: 'row', class: 'mono' }, name),
      h('td', { class: 'mono' }, text(value)),
      h('td', {}, h('span', { class: source === 'default' ? 'muted' : 'chip' }, SOURCES[source])),
      h('td', { class: 'mono muted' }, text(usual)))));
  }
}
