#!/usr/bin/env python3
"""An agent that runs elsewhere: it reads its turns from sessiond and submits a reply to each.

    SESSIOND_AGENT=<the agent's id> [SESSIOND_URL=...] [SESSIOND_TOKEN=...] python3 agent.py

The agent's character file has `"backend": {"type": "external"}`. Python 3.9 or later, no packages.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("SESSIOND_URL", "http://127.0.0.1:3000")
AGENT = os.environ["SESSIOND_AGENT"]
HEADERS = {"Content-Type": "application/json"}
if os.environ.get("SESSIOND_TOKEN"):
    HEADERS["X-API-KEY"] = os.environ["SESSIOND_TOKEN"]


def answer(turn):
    """Your code goes here. Returns what `submit` takes beside the turn."""
    content = turn["message"]["content"]
    if content == "decline":
        return {"error": {"message": "I do not discuss this."}}
    return {"content": f"You said: {content}"}


def events():
    """Yields the name and the data of each event until the stream ends."""
    request = urllib.request.Request(f"{URL}/api/agents/{AGENT}/events", headers=HEADERS)
    # A comment arrives every 15 seconds, so a longer silence is a broken connection.
    with urllib.request.urlopen(request, timeout=45) as stream:
        event = {}
        for line in stream:
            field, _, value = line.decode().rstrip("\r\n").partition(":")
            if field:
                event[field] = value.removeprefix(" ")
            elif "data" in event:
                yield event["event"], json.loads(event["data"])
                event = {}


def submit(turn, reply):
    """Submits a reply. The turn's id is the key, so a retry stores nothing twice."""
    body = {"channel_id": turn["sessionId"], "author_id": AGENT, "turnId": turn["turnId"], **reply}
    headers = {**HEADERS, "Idempotency-Key": turn["turnId"]}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api/messaging/submit", data, headers)
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        # The turn is closed: another worker was faster, or the session is gone.
        if error.code not in (404, 409, 410):
            raise


def main():
    """Answers each turn. A reconnect begins with the turns that are still open."""
    while True:
        try:
            for name, turn in events():
                if name == "turn":
                    submit(turn, answer(turn))
        except (OSError, ValueError) as error:
            print(f"reconnecting: {error}", file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    main()
