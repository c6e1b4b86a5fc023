"""The published python-socketio: its calls are acknowledged. SESSIOND_URL names the server, and
SESSIOND_CHANNEL a session with its user in SESSIOND_USER."""

import os
import uuid

import socketio

URL = os.environ["SESSIOND_URL"]
CHANNEL = os.environ["SESSIOND_CHANNEL"]
USER = os.environ["SESSIOND_USER"]

for transport in ["websocket", "polling"]:
    client = socketio.Client(reconnection=False)
    received = []
    client.on("*", lambda event, *data: received.append((event, *data)))
    client.connect(URL, transports=[transport])

    joined = client.call("join", {"roomId": CHANNEL}, timeout=20)
    assert joined["sessionId"] == CHANNEL, joined
    assert ("room_joined", joined) in received, received

    name = str(uuid.uuid4())
    payload = {"channelId": CHANNEL, "senderId": USER, "message": "Hello.", "messageId": name}
    sent = client.call("message", {"type": 2, "payload": payload}, timeout=20)
    assert sent["clientMessageId"] == name, sent
    assert ("messageAck", sent) in received, received

    refused = client.call("join", {"roomId": str(uuid.uuid4())}, timeout=20)
    assert list(refused) == ["error"], refused
    assert ("messageError", refused) in received, received

    assert client.call("leave", {"roomId": CHANNEL}, timeout=20) is None
    client.disconnect()
print("acknowledged")
