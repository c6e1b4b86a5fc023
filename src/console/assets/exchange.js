// Sends a call to this server, and shows its response.

import { token } from './api.js';
import { h } from './dom.js';
import { bytes, count } from './format.js';

/** How many characters are shown, and how many are read. */
const SHOWN = 200_000;
const READ = 16_000_000;

const HEADERS = ['Content-Type', 'Location', 'Retry-After', 'Idempotent-Replayed', 'Allow', 'X-Request-Id'];

/** The latest call of a panel, and its response. */
export class Exchange {
  #status = h('p', { role: 'status' });
  #stop = h('button', { type: 'button', hidden: true, onclick: () => this.#sending.abort() }, 'Stop');
  #headers = h('p', { class: 'mono muted' });
  #note = h('p', { class: 'hint' });
  #body = h('pre', { class: 'sample', tabindex: '0', role: 'group', 'aria-label': 'Response', hidden: true });
  #sending;
  #file;

  element = h('div', { class: 'answer', hidden: true }, h('div', { class: 'actions' }, this.#status, this.#stop), this.#headers, this.#note, this.#body);

  async send({ method, path, headers, body, isPublic, file }) {
    this.#sending?.abort();
    const sending = new AbortController();
    this.#sending = sending;
    URL.revokeObjectURL(this.#file);
    for (const part of [this.#headers, this.#note, this.#body]) part.replaceChildren();
    this.element.hidden = this.#stop.hidden = false;
    this.#body.hidden = true;
    this.#status.textContent = 'Sending';
    this.#status.className = '';
    const sent = new Headers(headers);
    if (token.get() && !isPublic) sent.set('Authorization', `Bearer ${token.get()}`);
    let end = 'The server does not respond.';
    try {
      const start = performance.now();
      const response = await fetch(path, { method, headers: sent, body, cache: 'no-store', redirect: 'error', signal: sending.signal });
      end = 'The connection was lost.';
      end = await this.#show(response, file, () => `${count(Math.round(performance.now() - start))} ms`);
    } catch {
      if (sending.signal.aborted) end = 'Stopped';
      else this.#status.className = 'problem';
    }
    if (this.#sending !== sending) return;
    this.#status.textContent = [this.#status.textContent.replace('Sending', ''), end].filter(Boolean).join(' · ');
    // Otherwise the keyboard would start at the top of the page.
    if (document.activeElement === this.#stop) this.#body.focus();
    this.#stop.hidden = true;
  }

  async #show(response, file, time) {
    const { status, statusText, headers, ok } = response;
    this.#status.textContent = `${status} ${statusText}`;
    this.#status.className = ok ? '' : 'problem';
    this.#headers.textContent = HEADERS.filter((name) => headers.has(name)).map((name) => `${name}: ${headers.get(name)}`).join('\n');
    if (ok && file) {
      const blob = await response.blob();
      this.#offer(blob, /filename="([^"]+)"/.exec(headers.get('content-disposition'))?.[1] ?? file);
      return `${time()} · ${bytes(blob.size)}`;
    }
    this.#body.hidden = false;
    const isStream = /event-stream/.test(headers.get('content-type'));
    const [reader, decoder] = [response.body.getReader(), new TextDecoder()];
    let [text, size] = ['', 0];
    for (let part; !(part = await reader.read()).done && text.length < READ;) {
      size += part.value.length;
      const more = decoder.decode(part.value, { stream: true });
      if (isStream) this.#append(more);
      else text += more;
    }
    reader.cancel();
    if (!isStream) this.#text(text);
    return [isStream && 'the stream has ended', time(), bytes(size)].filter(Boolean).join(' · ');
  }

  /** Shows the next part of a stream; of a long one, the last parts. */
  #append(part) {
    const body = this.#body;
    body.append(part);
    while (body.textContent.length > SHOWN && body.childNodes.length > 1) body.firstChild.remove();
    body.scrollTop = body.scrollHeight;
  }

  #text(text) {
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), undefined, 2);
    } catch {
      // It is shown as it is.
    }
    this.#body.textContent = shown.slice(0, SHOWN);
    if (shown.length > SHOWN) this.#offer(new Blob([text]), 'response.txt', `The first ${count(SHOWN)} of ${count(shown.length)} characters. `);
  }

  #offer(blob, name, text = '') {
    this.#file = URL.createObjectURL(blob);
    this.#note.replaceChildren(text, h('a', { href: this.#file, download: name }, `Save ${name}`));
  }
}
