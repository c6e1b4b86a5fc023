// Who uses the console, and what they may see.

import { api, token } from './api.js';

let known;

/** The role, the id of a user, and whether the administrators' endpoints are open. Requested once. */
export async function identity() {
  const asked = (known ??= find());
  try {
    return await asked;
  } catch (error) {
    if (known === asked) known = undefined;
    throw error;
  }
}

async function find() {
  const me = await api.me();
  const isAdmin = me.role === 'server' ? await isServerAdmin() : me.role !== 'user';
  return { ...me, isAdmin };
}

/** The server's token administers only where there are no others, which only a call can tell. */
async function isServerAdmin() {
  try {
    await api.agentStates();
    return true;
  } catch (error) {
    if (error.status === 403) return false;
    throw error;
  }
}

token.whenChanged(() => {
  known = undefined;
});
