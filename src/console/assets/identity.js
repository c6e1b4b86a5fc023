// Who uses the console, and what they may see.

import { admin, client, token } from './api.js';

let known;

/** The role, the id of a user, and whether the administrators' endpoints are open. Requested once. */
export function identity() {
  known ??= find();
  const asked = known;
  asked.catch(() => known === asked && forget());
  return asked;
}

async function find() {
  const me = await client.me();
  return { ...me, isAdmin: me.role === 'server' ? await isServerAdmin() : me.role !== 'user' };
}

/** The server's token administers only where there are no others, which only a call can tell. */
async function isServerAdmin() {
  try {
    return Boolean(await admin.agents());
  } catch (error) {
    if (error.status === 403) return false;
    throw error;
  }
}

function forget() {
  known = undefined;
}

token.whenChanged(forget);
