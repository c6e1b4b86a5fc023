// What people start by a button, which may fail.

import { h, notify } from './dom.js';

/** Does something. A failure is shown, and the result is then undefined. */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    notify(error.message, 'bad');
    return undefined;
  }
}

/** A button of a kind of the styles. */
export const button = (text, onclick, kind = 'quiet') => h('button', { type: 'button', class: kind, onclick }, text);

/** A button that does something. It is disabled until that is done. */
export function actionButton(text, act, kind) {
  const made = button(text, async () => {
    made.disabled = true;
    await attempt(act);
    made.disabled = false;
  }, kind);
  return made;
}
