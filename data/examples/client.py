"""A client of sessiond with only the standard library. It prints the reply as it is written:

    [SESSIOND_URL=...] [SESSIOND_TOKEN=...] [SESSIOND_AGENT=<an agent's id>] python3 client.py "Hello!"

Python 3.9 or later. The class `Sessiond` can be copied into a program.
"""
import json
import os
import random
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

RETRIES = 6
# The server sends a comment every 15 seconds, so a longer silence is a broken connection.
SILENCE = 45
# Reasons for which another attempt of the agent would fail, too.
LASTING = {"refused", "too_long", "misconfigured", "cancelled", "expired"}


class SessiondError(Exception):
    """A failed call, or a reply that failed. If `retryable`, the same call with the same key may succeed."""

    def __init__(self, message, code="UNREACHABLE", reason=None, status=0, retryable=True, retry_after=0):
        super().__init__(message)
        self.code, self.reason, self.status = code, reason, status
        self.retryable, self.retry_after = retryable, retry_after


def turn_error(error):
    """The error of a reply: an `error` event, or the `agentError` of a stored message."""
    code, reason = error["code"], error.get("reason")
    retryable = code == "SERVICE_UNAVAILABLE" or is_agents_failure(code, reason)
    return SessiondError(error.get("error") or error["message"], code, reason, retryable=retryable)


def refusal(status, headers, text, is_safe):
    """The error of a response that is not a success."""
    try:
        answer = json.loads(text)
    except ValueError:  # That of a proxy.
        answer = {}
    code, details, error = answer.get("code", ""), answer.get("details", {}), answer.get("error", {})
    message = error.get("details") or error.get("message") or f"the server responded with status {status}"
    # 429 and 503 without a message: nothing was done. Others may have been done, and need a key.
    retryable = status == 429 or (status == 503 and bool(code) and "userMessage" not in details) or is_safe and (
        status == 503 or (not code and status >= 500) or details.get("outcome") == "unknown"
        or is_agents_failure(code, details.get("reason")))
    after = headers.get("Retry-After") or "0"
    return SessiondError(message, code, details.get("reason"), status, retryable, int(after) if after.isdigit() else 0)


def is_agents_failure(code, reason):
    return code in ("AGENT_ERROR", "AGENT_TIMEOUT") and reason not in LASTING


def pause(attempt, error):
    """Waits before the next attempt, or raises the error. A failed reply is left to the caller."""
    is_over = attempt >= RETRIES or error.retry_after > 10
    if is_over or not error.retryable or is_agents_failure(error.code, error.reason):
        raise error
    time.sleep(max(error.retry_after, min(0.3 * 2 ** attempt, 5) * random.uniform(0.5, 1)))


class Sessiond:
    def __init__(self, url="http://127.0.0.1:3000", token=None):
        self.url, self.token = url.rstrip("/"), token

    def agents(self):
        return self.call("GET", "/api/agents")["data"]["agents"]

    def me(self):
        return self.call("GET", "/api/auth/me")

    def create(self, agent_id, user_id, **fields):
        body = {"agentId": agent_id, "userId": user_id, **fields}
        return self.call("POST", "/api/messaging/sessions", body, key=str(uuid.uuid4()))

    def send(self, session_id, content, key=None):
        """Sends a message and returns the reply, once it is complete."""
        *_, (_, reply) = self.stream(session_id, content, key)
        return reply

    def stream(self, session_id, content, key=None):
        """Sends a message and yields the names and the data of the events of its reply.

        The last one is `done`. A `chunk` also has the whole `text` so far. Sending with the `key` of
        an earlier message stores nothing twice: it continues that reply, or has it begun anew if it
        failed. After a lost connection this happens here.
        """
        path = f"/api/messaging/sessions/{session_id}/messages"
        body = {"content": content, "clientMessageId": key or str(uuid.uuid4())}
        sent, text, attempt = None, "", 0
        while True:
            try:
                if sent:
                    self.check(path, sent)
                for name, data in self.events(f"{path}/stream", body):
                    if name == "error":
                        raise turn_error(data)
                    if name == "user_message" and sent:
                        continue
                    if name == "user_message":
                        sent = data
                    if name == "chunk":
                        text = data["text"] = data["chunk"] if data["index"] == 0 else text + data["chunk"]
                    attempt = 0
                    yield name, data
                    if name == "done":
                        return
                raise SessiondError("the connection was lost")
            except SessiondError as error:
                pause(attempt, error)
                attempt += 1

    def check(self, path, sent):
        """Raises the error of a message's turn: a repeat would open it again, also after it was stopped."""
        stored = datetime.fromisoformat(sent["createdAt"].replace("Z", "+00:00"))
        query = {"after": round(stored.timestamp() * 1000) - 1, "limit": 1}
        try:
            [message] = self.call("GET", f"{path}?{urlencode(query)}")["messages"]
        except SessiondError as error:
            if error.code == "SESSION_EXPIRED":  # No turn is opened there, but a reply may be stored.
                return
            raise
        if failure := message["metadata"].get("agentError"):
            raise turn_error(failure)

    def history(self, session_id, limit=100):
        """Yields the messages of a session, the newest first."""
        query = {"limit": limit}
        while True:
            page = self.call("GET", f"/api/messaging/sessions/{quote(session_id)}/messages?{urlencode(query)}")
            yield from page["messages"]
            if not page["hasMore"]:
                return
            query["before"] = page["cursors"]["before"]

    def cancel(self, session_id):
        return self.call("POST", f"/api/messaging/sessions/{session_id}/cancel", {})

    def call(self, method, path, body=None, key=None):
        """Makes a call of the API and returns its JSON. Repeats it if that is safe."""
        attempt = 0
        while True:
            try:
                with self.open(method, path, body, key, is_safe=method == "GET" or key is not None) as response:
                    return json.load(response)
            except SessiondError as error:
                pause(attempt, error)
                attempt += 1

    def events(self, path, body):
        """Yields the name and the data of each event until the stream ends."""
        with self.open("POST", path, body, is_safe=True) as stream:
            event = {}
            for line in stream:
                field, _, value = line.decode().rstrip("\r\n").partition(":")
                if field:
                    event[field] = value.removeprefix(" ")
                elif "data" in event:
                    yield event["event"], json.loads(event["data"])
                    event = {}

    @contextmanager
    def open(self, method, path, body=None, key=None, is_safe=False):
        """Opens a response. All its failures are a `SessiondError`."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(self.url + path, data, headers, method=method), timeout=SILENCE) as response:
                yield response
        except HTTPError as error:
            text = b""
            with suppress(OSError, HTTPException):  # Its status is known.
                text = error.read()
            raise refusal(error.code, error.headers, text, is_safe) from error
        except (OSError, HTTPException, ValueError) as error:
            raise SessiondError(f"no connection: {error}", retryable=is_safe) from error


def main(content):
    client = Sessiond(os.environ.get("SESSIOND_URL", "http://127.0.0.1:3000"), os.environ.get("SESSIOND_TOKEN"))
    user = client.me().get("userId") or str(uuid.uuid4())  # A user's token names its user.
    session = client.create(os.environ.get("SESSIOND_AGENT") or client.agents()[0]["id"], user)
    shown = ""
    for name, data in client.stream(session["sessionId"], content):
        if name == "chunk":
            if not data["text"].startswith(shown):  # The agent has begun anew.
                print()
                shown = ""
            print(data["text"][len(shown):], end="", flush=True)
            shown = data["text"]
    print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: client.py "Hello!"')
    try:
        main(sys.argv[1])
    except SessiondError as failure:
        sys.exit(f"{failure.code}: {failure}")
