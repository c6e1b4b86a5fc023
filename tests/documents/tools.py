"""The tools on the PATH of the documents' commands, by their names.

    python3 tools.py STATE TOOL [ARGUMENT ...]

`sessiond` and what starts it run the real binary. What would change the machine, never end or compile
checks its arguments instead. STATE is the file that `server.py` writes.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cargo as cargo_check
from failure import Failure

ROOT = Path(__file__).resolve().parents[2]

# The longest that a server may take to start, and a call to be answered, in seconds.
LIMIT = 60


class State:
    """The document's server, its temporary directory and the paths of tools."""

    def __init__(self, file):
        values = json.loads(Path(file).read_text())
        self.binary, self.stand_in, self.agent = values["binary"], values["stand_in"], values["agent"]
        self.directory = Path(values["directory"])
        self.port, self.other_port = values["port"], values["other_port"]
        self.tools = values["tools"]


def expect(condition, otherwise):
    if not condition:
        raise Failure(otherwise)


def wait(condition, otherwise):
    end = time.monotonic() + LIMIT
    while not condition():
        expect(time.monotonic() < end, otherwise)
        time.sleep(0.02)


def sessiond(state, arguments):
    """Runs the real binary. A model is the stand-in's, not one of this machine."""
    serves = not arguments or arguments[0] == "serve" or re.match(r"--(?!help|version)", arguments[0])
    if serves:
        return serve(state, arguments)
    if arguments[:2] == ["agents", "new"]:
        os.environ.setdefault("OLLAMA_API_ENDPOINT", state.stand_in)
    if arguments[0] == "chat" and os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev:
        return chat(state, arguments)
    os.execv(state.binary, ["sessiond", *arguments])


def chat(state, arguments):
    """Says something where the document shows a chat on a terminal."""
    asked = subprocess.run([state.binary, *arguments], input="Hello.\n", stdout=subprocess.PIPE, text=True)
    print(asked.stdout, end="")
    expect(asked.returncode or asked.stdout.strip(), "the chat ended without a reply")
    return asked.returncode


def serve(state, arguments):
    """Starts a server and returns when it listens: in place of the document's if a command killed
    that, else beside it, with data of its own."""
    if answers(state.port):
        stop(state.directory / "other.pid")
        name, port, data = "other", state.other_port, tempfile.mkdtemp(dir=state.directory)
    else:
        name, port, data = "server", state.port, os.environ.get("DATA_DIR", "data")
        wait_until_free(Path(data))
    environment = {**os.environ, "SERVER_PORT": str(port), "DATA_DIR": data}
    log = state.directory / f"{name}-{time.monotonic_ns()}.log"
    with log.open("w") as output:
        process = subprocess.Popen([state.binary, *arguments], env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    (state.directory / f"{name}.pid").write_text(str(process.pid))
    wait(lambda: process.poll() is not None or answers(port), "the server does not answer")
    expect(process.poll() is None, f"the server ended:\n{log.read_text()}")
    return 0


def answers(port):
    """Returns whether a server answers there. One that was killed does not, though it may still hold
    the port."""
    from http.client import HTTPConnection, HTTPException
    connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def wait_until_free(data):
    """Waits until the process that was killed has let go of its data."""
    directory = os.open(data, os.O_RDONLY)

    def is_free():
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    wait(is_free, f"{data} is still locked")
    os.close(directory)


def stop(pid_file):
    """Stops the server that was started beside the document's before."""
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        pid_file.unlink()


def launcher(state, arguments):
    """npx, bunx and uvx."""
    expect(arguments[:1] == ["sessiond"], f"expected sessiond, not {arguments}")
    return sessiond(state, arguments[1:])


def cargo(state, arguments):
    cargo_check.check(ROOT, arguments)
    if arguments[0] == "run" and "--example" not in arguments:
        return sessiond(state, arguments[arguments.index("--") + 1:] if "--" in arguments else [])


def curl(state, arguments):
    """The real one. Every error of HTTP is a failure, and an endless stream ends after its beginning."""
    fails = any(re.match(r"-[a-zA-Z]*f", it) for it in arguments)
    options = ["--fail-early", "--max-time", str(LIMIT), *([] if fails else ["--fail-with-body"])]
    command = [state.tools["curl"], *options, *arguments]
    if not any(it.endswith("/events") for it in arguments):
        os.execv(command[0], command)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline().decode()
        process.kill()
    print(line, end="")
    expect(re.match(r"(event|id|data|retry)?:", line), "not an event stream")


def pgrep(state, arguments):
    """Only the document's server: others may run on the machine."""
    expect(arguments == ["-x", "sessiond"], f"expected -x sessiond, not {arguments}")
    print((state.directory / "server.pid").read_text())


def example(program):
    """Runs a file of the examples: an agent until it has replied, a token back end until the document
    ends, and anything else to its end."""
    def run(state, arguments):
        expect(Path(arguments[0]).is_file(), f"{arguments[0]}: no such file")
        command = [program or state.tools["node"], *arguments]
        environment = {**os.environ, "SESSIOND_URL": f"http://127.0.0.1:{state.port}"}
        kind = Path(arguments[0]).stem
        if kind == "tokens":
            return serve_tokens(state, command)
        if kind == "agent":
            return run_agent(state, command, environment)
        os.execve(command[0], command, environment)
    return run


def run_agent(state, command, environment):
    process = subprocess.Popen(command, env=environment)
    try:
        reply = converse(state)
    finally:
        process.kill()
    expect(reply["agentResponse"]["text"] == "You said: Hello.", f"not its reply: {reply}")


def serve_tokens(state, command):
    """Starts a token back end in the place of the one before, and returns when it listens."""
    stop(state.directory / "tokens.pid")
    environment = {**os.environ, "PORT": str(state.other_port)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    (state.directory / "tokens.pid").write_text(str(process.pid))
    line = process.stdout.readline()
    expect(line.endswith(f":{state.other_port}/token\n"), f"it does not listen: {line}")


def converse(state):
    """Sends a message to the agent that runs elsewhere, and returns the answer with its reply."""
    from urllib.request import Request, urlopen

    def call(path, body):
        url = f"http://127.0.0.1:{state.port}/api/messaging/sessions{path}"
        request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=LIMIT) as answer:
            return json.load(answer)

    session = call("", {"agentId": state.agent, "userId": "3c90c3cc-0d44-4b50-8888-8dd25736052a"})
    return call(f"/{session['sessionId']}/messages", {"content": "Hello.", "transport": "http"})


def curves(_state, arguments):
    """`tests/bench/curves.py`, which measures for minutes: its commands."""
    expect(f"case ['{arguments[0]}', " in (ROOT / "tests/bench/curves.py").read_text(), f"no command {arguments[0]}")


def ollama(_state, arguments):
    expect(arguments == ["pull", "gemma3"], f"expected pull gemma3, not {arguments}")


def npm(_state, arguments):
    """`npm install sessiond` puts the examples where the package has them."""
    if arguments == ["install", "sessiond"]:
        shutil.copytree(ROOT / "data/examples", "node_modules/sessiond/examples")
        return
    expect(arguments[:3] == ["install", "--global", "--offline"], f"not an installation: {arguments}")
    files_exist(arguments[3:])


def pip(_state, arguments):
    expect(arguments[:3] == ["install", "--no-index", "--find-links"], f"not an installation: {arguments}")
    directory, name = arguments[3:]
    expect(any(Path(directory).glob(f"{name}-*.whl")), f"no wheel of {name} in {directory}")


def install(state, arguments):
    """The real one, below the temporary directory."""
    root = state.directory / "root"
    moved = [f"{root}{it}" if it.startswith("/") and it != os.devnull else it for it in arguments]
    os.execv(state.tools["install"], ["install", *moved])


def chown(_state, arguments):
    owner, *files = arguments
    expect(re.fullmatch(r"\d+(:\d+)?", owner), f"{owner} may not exist on the machine")
    files_exist(files)


def systemctl(state, arguments):
    """Knows the units that were installed, and that what they start is."""
    if arguments == ["daemon-reload"]:
        return
    command, *names = [it for it in arguments if it != "--now"]
    expect(command in {"enable", "reload", "restart", "start", "stop"}, f"no command {command}")
    root = state.directory / "root"
    for name in names:
        unit = root / f"etc/systemd/system/{name}.service"
        expect(unit.is_file(), f"there is no unit {name}")
        program = re.search(r"^ExecStart=/(\S+)", unit.read_text(), re.MULTILINE)[1]
        expect(os.access(root / program, os.X_OK), f"the unit starts /{program}, which is not installed")


def docker(state, arguments):
    command, *rest = arguments
    expect(command in {"build", "run"}, f"docker {command} is not checked: extend tools.py")
    images = state.directory / "images"
    return (docker_build if command == "build" else docker_run)(images, rest)


def docker_build(images, arguments):
    """Checks the container file, and that what it copies exists."""
    expect(arguments[0::2][:2] == ["-f", "-t"], f"expected -f FILE -t NAME DIRECTORY, not {arguments}")
    _, file, _, name, context = arguments
    copied = re.findall(r"^COPY (?!.*--from)(?:--\S+ )*(\S+) \S+$", Path(file).read_text(), re.MULTILINE)
    expect(copied, f"{file} copies nothing")
    files_exist([Path(context, it) for it in copied])
    with images.open("a") as built:
        built.write(f"{name}\n")


def docker_run(images, arguments):
    """Checks the image, the files that are mounted, and the settings."""
    values = {option: [] for option in ("-p", "-v", "-e", "--name")}
    rest = iter(arguments)
    for argument in rest:
        if argument in values:
            values[argument].append(next(rest))
        elif argument != "--rm":
            break
    expect(argument in images.read_text().splitlines(), f"there is no image {argument}")
    expect(all(re.fullmatch(r"127\.0\.0\.1:\d+:3000", it) for it in values["-p"]), f"not the port: {values['-p']}")
    files_exist([it.partition(":")[0] for it in values["-v"] if "/" in it.partition(":")[0]])
    known = (ROOT / ".env.example").read_text()
    for setting in (it.partition("=")[0] for it in values["-e"]):
        expect(re.search(rf"^#? ?{setting}=", known, re.MULTILINE), f"{setting} is not a setting")


def files_exist(files):
    for file in files:
        expect(Path(file).exists(), f"{file}: no such file")


TOOLS = {
    "sessiond": sessiond, "npx": launcher, "bunx": launcher, "uvx": launcher, "cargo": cargo,
    "curl": curl, "pgrep": pgrep,
    "python3": example(sys.executable), "node": example(None),
    "ollama": ollama, "npm": npm, "pip": pip,
    "install": install, "chown": chown, "systemctl": systemctl, "docker": docker,
}


def main(state, tool, *arguments):
    run = {**TOOLS, "curves": curves}[tool]
    try:
        return run(State(state), list(arguments))
    except Failure as failure:
        return f"{tool}: {failure}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
