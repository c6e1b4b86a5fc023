// Compares what the server stores and returns of unusual JSON with JavaScript itself: the value
// that `Response.json()` reads from the same bytes, with its strings as `TextEncoder` writes them.
// SESSIOND_URL names the server; it has the built-in agent.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

const baseUrl = process.env.SESSIOND_URL;
assert.ok(baseUrl, 'SESSIOND_URL must name a running server');

const SESSIONS = `${baseUrl}/api/messaging/sessions`;
const ELIZA = 'b850bc30-45f8-0041-a00a-83df46d8555d';
const BYTE_ORDER_MARK = '\ufeff';
const HALVES = ['\ud83c', '\udf89', '\ud800', '\udfff'];

/** Number of random values. The generator is seeded, so that a failure repeats. */
const RANDOM = 150;

// ---- The model --------------------------------------------------------------------------------

const inUtf8 = (text) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text));

/** Returns a value with all of its strings, names of members included, as they are in UTF-8. */
function storable(value) {
  if (typeof value === 'string') return inUtf8(value);
  if (Array.isArray(value)) return value.map(storable);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).map(([name, member]) => [inUtf8(name), storable(member)]);
  // Unlike an assignment, this creates a member `__proto__` too.
  return Object.fromEntries(members);
}

/** Returns what browsers read in a body, or undefined if they throw. */
async function readByJavaScript(text) {
  try {
    return await new Response(text).json();
  } catch {
    return undefined;
  }
}

// ---- The server -------------------------------------------------------------------------------

async function call(url, body) {
  const init = body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}

const create = (metadata, before = '') =>
  call(SESSIONS, `${before}{"agentId":"${ELIZA}","userId":"${randomUUID()}","metadata":${metadata}}`);

/** Asserts that metadata is stored as JavaScript reads it, for a session and for a message. */
async function assertSame(text, { before = '', deep = true } = {}) {
  const read = await readByJavaScript(`{"metadata":${text}}`);
  const expected = storable(read.metadata);
  const created = await create(text, before);
  assert.equal(created.status, 201, `${text}: ${JSON.stringify(created.body)}`);
  assert.deepStrictEqual(created.body.metadata, expected, text);
  const { sessionId } = created.body;
  const kept = await call(`${SESSIONS}/${sessionId}`);
  assert.deepStrictEqual(kept.body.metadata, expected, text);
  if (!deep) return;

  const sent = await call(`${SESSIONS}/${sessionId}/messages`, `${before}{"content":"x","metadata":${text}}`);
  assert.equal(sent.status, 201, text);
  const { messages } = (await call(`${SESSIONS}/${sessionId}/messages`)).body;
  const stored = messages.find(({ isAgent }) => !isAgent);
  const { agentError, ...own } = expected;
  const shown = Object.fromEntries([...Object.entries(own), ['sessionId', sessionId]]);
  // A message's metadata includes its session's.
  if (agentError !== undefined) delete stored.metadata.agentError;
  assert.deepStrictEqual(stored.metadata, shown, text);
}

/** Asserts that content is stored as JavaScript reads it. `literal` is JSON. */
async function assertSameContent(literal, session) {
  const expected = inUtf8(JSON.parse(literal));
  const sent = await call(`${SESSIONS}/${session}/messages`, `{"content":${literal},"transport":"http"}`);
  assert.equal(sent.status, 201, `${literal}: ${JSON.stringify(sent.body)}`);
  assert.equal(sent.body.userMessage.content, expected, literal);
  const { messages } = (await call(`${SESSIONS}/${session}/messages?limit=2`)).body;
  assert.equal(messages.find(({ isAgent }) => !isAgent).content, expected, literal);
}

const session = async () => (await create('{}')).body.sessionId;

// ---- Strings ----------------------------------------------------------------------------------

/** Each half of a surrogate pair at each position of a string, by itself and beside others. */
function* cutStrings() {
  for (const half of HALVES) {
    for (const rest of ['', 'a', 'ab', '🎉', '\\', '"']) {
      for (let at = 0; at <= rest.length; at += 1) yield rest.slice(0, at) + half + rest.slice(at);
    }
    for (const other of HALVES) yield half + other;
  }
  const news = 'Great news 🎉 and more 👩‍👩‍👧';
  for (let end = 10; end <= news.length; end += 1) yield news.slice(0, end);
  yield* ['\ud83c\\ud83c', '\\\ud83c', '\\u\ud83c', '\ud83c\n\udf89', '\ud83c\udf89\ud83c', '\u0000\ud83c\u0000'];
}

describe('strings', () => {
  test('half a surrogate pair in content is stored as TextEncoder writes it', async () => {
    const id = await session();
    for (const text of cutStrings()) await assertSameContent(JSON.stringify(text), id);
  });

  test('half a surrogate pair in metadata is stored so, in values and names', async () => {
    const cut = [...cutStrings()];
    for (let from = 0; from < cut.length; from += 40) {
      const some = cut.slice(from, from + 40);
      const members = some.map((text, at) => `${JSON.stringify(`${at}${text}`)}:${JSON.stringify([text])}`);
      await assertSame(`{${members.join(',')}}`);
    }
  });

  test('escapes may be in upper or lower case, or unnecessary', async () => {
    const id = await session();
    const literals = [
      '"\\uD83C\\uDF89"', '"\\ud83C\\uDf89"', '"\\uD83C"', '"\\ud83c\\u0041"', '"\\ud83cudf89"', '"\\\\ud83c"',
      '"\\\\\\ud83c"', '"\\/\\b\\f\\t\\u2028\u2029"', '"\\u0065\\u0301"', '"\\ufeffx"', '"\ufeffx"', '"\\ufffe\\uffff"',
    ];
    for (const literal of literals) await assertSameContent(literal, id);
  });

  test('random UTF-16 is stored as TextEncoder writes it', async () => {
    const random = generator(16);
    const id = await session();
    for (let round = 0; round < RANDOM; round += 1) {
      await assertSameContent(JSON.stringify(`x${randomString(random)}`), id);
    }
  });
});

// ---- Values -----------------------------------------------------------------------------------

const nested = (levels, [open, close], inner = '') => open.repeat(levels) + inner + close.repeat(levels);

describe('values', () => {
  test('a duplicate member has its last value', async () => {
    for (const text of [
      '{"a":1,"a":2}', '{"a":{"x":1},"a":{"y":2}}', '{"a":1,"b":2,"a":3}', '{"a":1,"\\u0061":2}',
      '{"\\ud83c":1,"\\ud83d":2}', '{"a":[{"x":1,"x":2,"x":3}]}', '{"":1,"":2}',
    ]) {
      await assertSame(text);
    }
  });

  test('names that are special in JavaScript are ordinary names', async () => {
    for (const text of [
      '{"__proto__":{"admin":true}}', '{"__proto__":null}', '{"a":{"__proto__":[1]}}',
      '{"constructor":{"prototype":{"x":1}}}', '{"toString":1,"hasOwnProperty":2,"length":3}',
      '{"10":1,"9":2,"-1":3,"1.5":4,"a":5}', '{"a":{"$ref":"#"},"$schema":"x","$":1}',
    ]) {
      await assertSame(text);
    }
  });

  // The only name that the server refuses: its JSON library would parse the string as JSON.
  test('a string is never parsed as JSON', async () => {
    for (const name of ['$serde_json::private::RawValue', '\\u0024serde_json::private::RawValue']) {
      for (const text of [`{"${name}":"[1]"}`, `{"a":[{"${name}":"{\\"b\\":1}"}]}`]) {
        const { status, body } = await create(text);
        assert.deepEqual([status, body.error.type], [400, 'InvalidBodyError'], text);
        assert.match(body.error.message, /reserved/);
      }
    }
    await assertSame('{"a":"$serde_json::private::RawValue"}');
  });

  test('numbers have the value of a double', async () => {
    const numbers = [
      '0', '-0', '1', '-1', '1.0', '1e0', '1E+2', '1e-2', '0.1', '0.30000000000000004', '9007199254740991',
      '9007199254740992', '9007199254740993', '-9007199254740993', '9223372036854775807', '9223372036854775808',
      '18446744073709551615', '18446744073709551616', '123456789012345678901234567890', '1e21', '1e22', '1e23',
      '1.7976931348623157e308', '-1.7976931348623157e308', '5e-324', '2.2250738585072011e-308', '1e-400', '-1e-400',
      `0.${'0'.repeat(400)}1`, `1${'0'.repeat(300)}`, '3.141592653589793238462643383279',
    ];
    await assertSame(`{"numbers":[${numbers.join(',')}]}`);
    const random = generator(64);
    const doubles = new Float64Array(new BigUint64Array(RANDOM).map(() => bits(random)).buffer);
    await assertSame(`{"numbers":${JSON.stringify([...doubles].filter(Number.isFinite))}}`);
  });

  test('a number beyond the range of a double is refused', async () => {
    for (const number of ['1e309', '-1e309', '1e999999999', `1${'0'.repeat(400)}`]) {
      assert.equal(Math.abs(JSON.parse(number)), Infinity);
      const { status, body } = await create(`{"x":[${number}]}`);
      assert.deepEqual([status, body.error.type], [400, 'InvalidBodyError'], number);
      assert.match(body.error.message, /beyond the range of a double/);
    }
  });

  test('deep nesting is stored up to a limit', async () => {
    await assertSame(`{"x":${nested(125, '[]')}}`);
    await assertSame(`{"x":${nested(60, ['{"\\ud83c":[', ']}'], '"\\udf89"')}}`);
    for (const levels of [126, 5_000, 500_000]) {
      const { status, body } = await create(`{"x":${nested(levels, '[]')}}`);
      assert.deepEqual([status, body.error.type], [400, 'InvalidBodyError'], `${levels}`);
      assert.match(body.error.message, /nested more than 127 levels deep/);
    }
    assert.equal((await call(`${baseUrl}/healthz`)).status, 200);
  });

  test('a byte order mark is skipped, and white space is optional', async () => {
    await assertSame('{"a":"\\ud83c"}', { before: BYTE_ORDER_MARK });
    await assertSame('{"a":"\ufeff"}', { before: `${BYTE_ORDER_MARK} \r\n\t` });
    await assertSame(' { "a" :\t[ 1 ,\r\n2 ] } ');
  });

  test('random values are stored as JavaScript reads them', async () => {
    const random = generator(7);
    for (let round = 0; round < RANDOM; round += 1) {
      const text = JSON.stringify({ x: randomValue(random, 4), [randomString(random)]: 1 });
      await assertSame(text, { deep: round % 3 === 0 });
    }
  });
});

test('invalid JSON is refused', async () => {
  for (const text of [
    '{"a":1,}', "{'a':1}", '{a:1}', '{"a":NaN}', '{"a":Infinity}', '{"a":undefined}', '{"a":01}', '{"a":+1}',
    '{"a":.5}', '{"a":1.}', '{"a":0x10}', '{"a":"\t"}', '{"a":"\\x41"}', '{"a":"\\ud83"}', '{"a":"\\ud83c}',
    '{"a":"\\ud83c\\"}', '{"a":1}/**/', '{"a":1', '{"a" 1}', `${BYTE_ORDER_MARK}{}`, '{"a":"x"\u00a0}',
  ]) {
    const body = `{"agentId":"${ELIZA}","userId":"${randomUUID()}","metadata":${text}}`;
    assert.equal(await readByJavaScript(body), undefined, text);
    const refused = await call(SESSIONS, body);
    assert.deepEqual([refused.status, refused.body.error.type], [400, 'InvalidBodyError'], text);
  }
});

// ---- Random values ----------------------------------------------------------------------------

/** Returns a generator of numbers in [0, 1) with a seed (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random, limit) => Math.floor(random() * limit);
const choice = (random, list) => list[below(random, list.length)];
const bits = (random) => (BigInt(below(random, 2 ** 32)) << 32n) | BigInt(below(random, 2 ** 32));

function randomString(random) {
  const units = Array.from({ length: below(random, 12) }, () =>
    random() < 0.6 ? 0xd800 + below(random, 0x800) : choice(random, [0, 9, 34, 92, 117, 65, 233, 0x2028, 0xfeff, 0xffff]),
  );
  return String.fromCharCode(...units);
}

function randomValue(random, levels) {
  const kind = below(random, levels > 0 ? 7 : 5);
  if (kind === 0) return choice(random, [null, true, false]);
  if (kind === 1) return choice(random, [0, -0, 1.5, 1e21, -1e-7, 2 ** 53, random() * 1e6, below(random, 1000)]);
  if (kind < 5) return randomString(random);
  const members = Array.from({ length: below(random, 5) }, () => randomValue(random, levels - 1));
  if (kind === 5) return members;
  return Object.fromEntries(members.map((member) => [choice(random, ['__proto__', randomString(random)]), member]));
}
