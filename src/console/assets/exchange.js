// Sends a call to this server, and shows its response.

import { h } from './dom.js';
import { bytes, count } from './format.js';
import { sample } from './reference.js';

/** How many characters are shown. */
const SHOWN = 200_000;

const HEADERS = ['Content-Type', 'Location', 'Retry-After', 'Idempotent-Replayed', 'X-Request-Id'];

/** The latest call of a panel, and its response. */
export class Exchange {
  #status = h('p', { role: 'status' });
  #headers = h('p', { class: 'mono muted' });
  #note = h('p', { class: 'hint' });
  #body = sample('', 'Response');
  #file;

  element = h('div', { class: 'parts', hidden: true }, this.#status, this.#headers, this.#note, this.#body);

  /** Ends when the whole response has been shown, or when the signal aborts. */
  async send({ method, path, headers, body }, signal) {
    URL.revokeObjectURL(this.#file);
    for (const part of [this.#headers, this.#note, this.#body]) part.replaceChildren();
    this.element.hidden = false;
    this.#body.hidden = true;
    this.#status.className = '';
    this.#status.textContent = 'Sending';
    const start = performance.now();
    let [status, end] = ['', 'The server does not respond.'];
    try {
      const response = await fetch(path, { method, headers, body, signal });
      [status, end] = [`${response.status} ${response.statusText} · `, 'The connection was lost.'];
      this.#status.textContent = `${status}receiving`;
      this.#status.className = response.ok ? '' : 'problem';
      this.#headers.textContent = HEADERS.filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}`).join('\n');
      end = await this.#read(response);
      end = `${count(Math.round(performance.now() - start))} ms · ${end}`;
    } catch {
      if (signal.aborted) end = 'Stopped';
      else this.#status.className = 'problem';
    }
    this.#status.textContent = status + end;
  }

  /** Shows the body, and returns how it ended. */
  async #read(response) {
    if (/event-stream/.test(response.headers.get('content-type'))) {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part; !(part = await reader.read()).done;) this.#append(part.value);
      return 'the stream has ended';
    }
    const blob = await response.blob();
    const [, name] = /filename="([^"]+)"/.exec(response.headers.get('content-disposition')) ?? [];
    if (name) this.#offer(blob, name);
    else this.#text(blob, await blob.text());
    return bytes(blob.size);
  }

  /** Shows the next part of a stream; of a long one, the last parts. */
  #append(part) {
    const body = this.#body;
    body.hidden = false;
    body.append(part);
    while (body.textContent.length > SHOWN && body.childNodes.length > 1) body.firstChild.remove();
    body.scrollTop = body.scrollHeight;
  }

  #text(blob, text) {
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), undefined, 2);
    } catch {
      // It is shown as it is.
    }
    this.#body.hidden = false;
    this.#body.textContent = shown.slice(0, SHOWN);
    if (shown.length > SHOWN) this.#offer(blob, 'response.txt', `The first ${count(SHOWN)} of ${count(shown.length)} characters. `);
  }

  #offer(blob, name, text = '') {
    this.#file = URL.createObjectURL(blob);
    this.#note.replaceChildren(text, h('a', { href: this.#file, download: name }, `Save ${name}`));
  }
}
