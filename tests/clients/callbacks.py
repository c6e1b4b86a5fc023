"""python-socketio, as published: what it calls is acknowledged. SESSIOND_URL names the server, and
SESSIOND_CHANNEL a session with its user in SESSIOND_USER."""

import os
import uuid

import socketio

URL = os.environ["SESSIOND_URL"]
CHANNEL = os.environ["SESSIOND_CHANNEL"]
USER = os.environ["SESSIOND_USER"]

for transport in ["websocket", "polling"]:
    client = socketio.Client(reconnection=False)
    told = []
    client.on("*", lambda event, *data: told.append((event, *data)))
    client.connect(URL, transports=[transport])

    joined = client.call("join", {"roomId": CHANNEL}, timeout=20)
    assert joined["sessionId"] == CHANNEL, joined
    assert ("room_joined", joined) in told, told

    name = str(uuid.uuid4())
    payload = {"channelId": CHANNEL, "senderId": USER, "message": "Hello.", "messageId": name}
    sent = client.call("message", {"type": 2, "payload": payload}, timeout=20)
    assert sent["clientMessageId"] == name, sent
    assert ("messageAck", sent) in told, told

    refused = client.call("join", {"roomId": str(uuid.uuid4())}, timeout=20)
    assert list(refused) == ["error"], refused
    assert ("messageError", refused) in told, told

    assert client.call("leave", {"roomId": CHANNEL}, timeout=20) is None
    client.disconnect()
print("acknowledged")
