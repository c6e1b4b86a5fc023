"""Runs the commands of the documents: every ```sh block of a document in its order, as one bash
script in a temporary directory, beside a server of its own. Then checks the commands of `sessiond` and
of cargo in running text: their names, options and targets exist.

    CARGO_BIN_EXE_sessiond=target/debug/sessiond python3 tests/documents/commands.py [DOCUMENT ...]

When a document gets a new command:

- Mark commands with ```sh, and everything else with another language of LANGUAGES.
- An example id, an address or a placeholder (`…`) is replaced by a real value: a row in
  `substitutions.py`. A row that matches nothing fails, and so does a `…` that is left.
- Only the tools of `PLAIN` and of `tools.py` are on the PATH. Those that would change the machine, never
  end or compile are functions of `tools.py`, which check their arguments instead.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cargo
from failure import Failure
from server import Server
from stand_in import StandIn
from substitutions import LEFT, SUBSTITUTIONS
from tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ["CARGO_BIN_EXE_sessiond"]).resolve()

DOCUMENTS = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/*.md", "data/*/README.md"]
# Other fences could hide commands. One without a language is output.
LANGUAGES = {"", "caddyfile", "html", "ini", "js", "json", "nginx", "python", "sh", "ts", "yaml"}
# Tools that work in the temporary directory, as they are.
PLAIN = ["bash", "cat", "chmod", "cp", "date", "gzip", "head", "mkdir", "openssl", "sleep", "tar"]

FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:\w+=\S+\s+)*(?:sessiond|cargo)\s[^`]+)`")

# The longest that the commands of a document may take, in seconds.
LIMIT = 180
DONE = "### all blocks ran"


def blocks(text):
    """Returns the number of the first line and the commands of each block of a document."""
    found = []
    if len(re.findall("^ *```", text, re.MULTILINE)) != 2 * len(FENCE.findall(text)):
        raise Failure("a fence is not closed at its own indentation")
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 2
        if fence[2] not in LANGUAGES:
            raise Failure(f"line {line - 1}: ```{fence[2]}: expected one of {sorted(LANGUAGES)}")
        if fence[2] == "sh":
            found.append((line, fence[3]))
    return found


def script(name, text, values):
    """Returns the script of a document, with real values."""
    commands = "".join(f"\n: '### {name}:{line}'\n{block}" for line, block in blocks(text))
    for example, value in SUBSTITUTIONS.get(name, {}).items():
        if example not in commands:
            raise Failure(f"substitutions.py replaces {example!r}, which no command contains")
        commands = commands.replace(example, value.format_map(values))
    if left := LEFT.search(commands):
        raise Failure(f"{left[0]!r} needs a row in substitutions.py")
    return f"set -euo pipefail\nset -x\n{commands}\nset +x\necho '{DONE}'\n"


def prepare(directory, server):
    """Makes the working directory: what a checkout and an unpacked release have that commands name."""
    work = directory / "work"
    shutil.copytree(ROOT / "data", work / "data", ignore=lambda path, names: {
        it for it in names if Path(path) == ROOT / "data" and not is_tracked(it)})
    (work / "tests/bench").mkdir(parents=True)
    (work / "man").mkdir()
    (directory / "bin").mkdir()
    for path in ("backups", "etc/systemd/system", "usr/local/bin"):
        (directory / "root" / path).mkdir(parents=True)
    for tool in PLAIN:
        (directory / "bin" / tool).symlink_to(shutil.which(tool))
    for tool in TOOLS:
        wrap(directory / "bin" / tool, tool, server)
    wrap(work / "tests/bench/curves.py", "curves", server)
    wrap(work / "sessiond", "sessiond", server)
    subprocess.run([BINARY, "man", work / "man"], check=True)
    packages(work, cargo.version(ROOT))


def is_tracked(name):
    """Returns whether a name in `data/` belongs to the sources: it is also the default data directory."""
    return name in {"agents", "Dockerfile", "dist", "examples", "sessiond.service"}


def packages(work, version):
    """Puts the packages of a release into the directory: their names, and what the tarball has."""
    for name in (f"sessiond-{version}.tgz", f"sessiond-linux-x64-{version}.tgz",
                 f"sessiond-{version}-py3-none-manylinux_2_28_x86_64.whl"):
        (work / name).touch()
    name = f"sessiond-{version}-x86_64-unknown-linux-gnu"
    with tarfile.open(work / f"{name}.tar.gz", "w:gz") as archive:
        for member in ("sessiond", "man", "data"):
            archive.add(work / member, f"{name}/{member}")


def wrap(path, tool, server):
    """Writes an executable that runs a function of `tools.py`."""
    command = [sys.executable, "-ESsB", ROOT / "tests/documents/tools.py", server.state, tool]
    path.write_text(f"#!/bin/sh\nexec {shlex.join(map(str, command))} \"$@\"\n")
    path.chmod(0o755)


def run(name, stand_in):
    """Runs the commands of a document. Returns their number of blocks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    count = len(blocks(text))
    if not count:
        return 0
    with tempfile.TemporaryDirectory(prefix="sessiond-docs-", ignore_cleanup_errors=True) as directory:
        server = Server(BINARY, Path(directory), stand_in)
        prepare(Path(directory), server)
        with server.running():
            execute(name, script(name, text, server.values()), server)
    return count


def execute(name, commands, server):
    """Runs a script, and ends all processes that it has started."""
    output = server.directory / "output"
    environment = {"PATH": str(server.directory / "bin"), "HOME": str(server.directory),
                   "SERVER_PORT": str(server.port), "USER": "ada", "NO_COLOR": "1"}
    with output.open("w") as file:
        process = subprocess.Popen(
            [shutil.which("bash"), "-c", commands], cwd=server.work, env=environment,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            how = f"exit code {process.wait(LIMIT)}"
        except subprocess.TimeoutExpired:
            how = f"not done after {LIMIT} s"
        finally:
            # The servers that it has started; there may be none.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    printed = output.read_text(encoding="utf-8", errors="replace")
    if process.returncode or not printed.endswith(f"{DONE}\n"):
        raise Failure(f"{how}.\n{server.log()}\nThe end of the output:\n{printed[-4000:]}")


def check_inline(name):
    """Checks the commands in running text. Returns their number."""
    text = FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    commands = [" ".join(it.split()) for it in INLINE.findall(text)]
    for command in commands:
        try:
            check_command(shlex.split(command.partition(">")[0]))
        except Failure as failure:
            raise Failure(f"`{command}`: {failure}") from failure
    return len(commands)


def check_command(arguments):
    """Checks that a command of running text would be understood."""
    while "=" in arguments[0]:
        cargo.check_variable(ROOT, arguments.pop(0).partition("=")[0])
    if arguments[0] == "cargo":
        cargo.check(ROOT, arguments[1:])
        return
    # Placeholders that must be a value of their kind.
    values = {"COMMAND": "backup", "ID": "3c90c3cc-0d44-4b50-8888-8dd25736052a"}
    arguments = [values.get(it, it) for it in arguments[1:]]
    if arguments[0] != "help":
        arguments.append("--help")
    asked = subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if asked.returncode:
        raise Failure(asked.stderr)


def test(name, stand_in):
    """Returns what was run of a document, or the failure."""
    try:
        return run(name, stand_in), check_inline(name), None
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        return 0, 0, f"{name}: {failure}"


def main(names):
    names = names or [str(it.relative_to(ROOT)) for pattern in DOCUMENTS for it in sorted(ROOT.glob(pattern))]
    with StandIn() as stand_in, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda name: test(name, stand_in.url), names))
    for name, (ran, checked, failure) in zip(names, results):
        print(failure or f"{name}: {ran} blocks ran, {checked} commands in the text checked")
    return any(failure for _, _, failure in results) or not any(ran for ran, _, _ in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
