"""An agent that runs elsewhere: it reads its turns from sessiond and submits a reply to each.

    SESSIOND_AGENT=<the agent's id> [SESSIOND_URL=...] [SESSIOND_TOKEN=...] python3 agent.py

The agent's character file has `"backend": {"type": "external"}`. Python 3.9 or later, no packages.
"""
import json
import os
import sys
import time
import traceback
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

API = os.environ.get("SESSIOND_URL", "http://127.0.0.1:3000") + "/api"
AGENT = os.environ.get("SESSIOND_AGENT")
TOKEN = os.environ.get("SESSIOND_TOKEN")
HEADERS = {"Content-Type": "application/json", **({"X-API-KEY": TOKEN} if TOKEN else {})}


FAILED = {"error": {"message": "The agent has failed."}}


def answer(message):
    """Your code goes here. Returns what `submit` takes beside the turn. If it raises, the user reads FAILED."""
    if message["content"] == "decline":
        return {"error": {"message": "I do not discuss this."}}
    return {"content": f"You said: {message['content']}"}


def handle(turn):
    """Answers a turn. One that cannot be answered is closed too, or else it would be the first after each reconnect."""
    try:
        reply = answer(turn["message"])
    except Exception:
        print(f"turn {turn['turnId']}:", traceback.format_exc(), file=sys.stderr, flush=True)
        reply = FAILED
    submit(turn, reply)


def events():
    """Yields the name and the data of each event until the stream ends."""
    # A comment arrives every 15 seconds, so a longer silence is a broken connection.
    with urlopen(Request(f"{API}/agents/{AGENT}/events", headers=HEADERS), timeout=45) as stream:
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
    body = {"channel_id": turn["sessionId"], "author_id": AGENT, "turnId": turn["turnId"], **(reply or {})}
    headers = {**HEADERS, "Idempotency-Key": turn["turnId"]}
    try:
        urlopen(Request(f"{API}/messaging/submit", json.dumps(body).encode(), headers), timeout=30)
    except HTTPError as error:
        if error.code in (400, 413) and reply is not FAILED:
            print(f"turn {turn['turnId']}: the reply is invalid: {error.read().decode()}", file=sys.stderr, flush=True)
            return submit(turn, FAILED)
        # The turn is closed: another worker was faster, or the session is gone.
        if error.code not in (404, 409, 410):
            raise


if not AGENT:
    print("SESSIOND_AGENT must be the id of the agent, which `sessiond agents new NAME --backend external` prints", file=sys.stderr)
    sys.exit(2)

while True:  # Answers each turn. A reconnect begins with the turns that are still open.
    try:
        for name, turn in events():
            if name == "turn":
                handle(turn)
    except (OSError, ValueError, HTTPException) as error:
        print(f"reconnecting: {error}", flush=True)
    time.sleep(1)
