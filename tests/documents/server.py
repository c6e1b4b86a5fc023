"""The server of a document, and the example data in it."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from urllib.request import Request, urlopen

from failure import Failure

ELIZA = "b850bc30-45f8-0041-a00a-83df46d8555d"
USER = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
AGENT = "c6f7c0b1-2b1e-4c11-9d38-6a1c0f6b7a52"
OTHER_USER = "9a6c2f0e-6a53-4f0d-8a30-0c5f3f1d2b77"

# The longest that the server may take to start or to answer, in seconds.
LIMIT = 60


class Server:
    """A server in a temporary directory."""

    def __init__(self, binary, directory, stand_in):
        self.binary = binary
        self.directory = directory
        self.work = directory / "work"
        self.port, self.other_port = free_ports(2)
        self.stand_in = stand_in
        self.state = directory / "state.json"
        self.state.write_text(json.dumps({
            "binary": str(binary), "directory": str(directory), "stand_in": stand_in,
            "port": self.port, "other_port": self.other_port, "agent": AGENT,
            "tools": {it: shutil.which(it) for it in ("curl", "install", "node")}}))

    @contextmanager
    def running(self):
        """Runs it for the time of a `with` block, from when it answers."""
        environment = {"PATH": os.environ["PATH"], "SERVER_PORT": str(self.port)}
        with (self.directory / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                [self.binary], cwd=self.work, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.directory / "server.pid").write_text(str(self.process.pid))
        try:
            wait(lambda: self.process.poll() is not None or self.answers(), "the server does not answer")
            if self.process.poll() is not None:
                raise Failure(f"the server ended.\n{self.log()}")
            yield
        finally:
            self.process.kill()
            self.process.wait()

    def answers(self):
        try:
            return self.call("/agents")
        except OSError:
            return False

    def log(self):
        """Returns the end of the logs of all servers."""
        logs = [it.read_text(errors="replace")[-1500:] for it in sorted(self.directory.glob("*.log"))]
        return "\n".join(["The ends of the servers' logs:", *logs])

    def call(self, path, body=None):
        """Calls the API and returns the answer."""
        data = body and json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}/api{path}", data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=LIMIT) as answer:
            return json.load(answer)

    def values(self):
        return Values(self)


class Values(dict):
    """The values of `substitutions.py`. What a document does not use is not created."""

    def __init__(self, server):
        super().__init__(
            server=f"127.0.0.1:{server.port}", other_server=f"127.0.0.1:{server.other_port}",
            stand_in=server.stand_in, root=str(server.directory / "root"))
        self.of = server

    def __missing__(self, name):
        self.update(getattr(self, f"make_{name}")())
        return self[name]

    def make_session(self):
        """A conversation with the built-in agent."""
        return {"session": self.conversation(USER)}

    def make_other_user(self):
        """A user who has a session."""
        self.conversation(OTHER_USER)
        return {"other_user": OTHER_USER}

    def make_cursor(self):
        """The second page of the search in the session."""
        self["session"]
        page = self.of.call("/messaging/messages/search", {"query": "roses", "limit": 1})
        return {"cursor": page["nextCursor"]}

    def make_agent(self):
        """An agent that runs elsewhere."""
        backend = {"type": "external"}
        file = self.of.work / "data/agents/desk.json"
        file.write_text(json.dumps({"id": AGENT, "name": "Desk", "settings": {"backend": backend}}))
        os.kill(self.of.process.pid, signal.SIGHUP)
        wait(lambda: AGENT in json.dumps(self.of.call("/agents")), "the agent is not read")
        return {"agent": AGENT}

    def make_turn(self):
        """A turn that waits for that agent, and its session."""
        session = self.create(USER, self["agent"])
        self.of.call(f"/messaging/sessions/{session}/messages", {"content": "Hello."})
        [turn] = self.of.call(f"/agents/{AGENT}/turns")["turns"]
        return {"turn": turn["turnId"], "waiting_session": session}

    make_waiting_session = make_turn

    def conversation(self, user):
        session = self.create(user, ELIZA)
        for content in ("My roses are ill.", "The roses need water."):
            message = {"content": content, "transport": "http", "clientMessageId": str(uuid.uuid4())}
            self.of.call(f"/messaging/sessions/{session}/messages", message)
        return session

    def create(self, user, agent):
        body = {"agentId": agent, "userId": user, "metadata": {"title": "Garden plans"}}
        return self.of.call("/messaging/sessions", body)["sessionId"]


def wait(condition, otherwise):
    """Waits until a condition holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise Failure(otherwise)
        time.sleep(0.02)


def free_ports(count):
    """Returns ports that nothing listens on, below those that systems give to outgoing connections:
    a server is started there some seconds later."""
    ports = []
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports += [port] if port not in ports else []
    return ports
