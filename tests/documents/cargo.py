"""Checks commands of cargo, without compiling: the targets, tests and options that they name exist."""

import re

from failure import Failure

COMMANDS = {"bench", "build", "check", "clippy", "doc", "fmt", "run", "test"}
# Subcommands of packages.
EXTENSIONS = {"deny", "fuzz"}
FLAGS = {"--release", "--locked", "--all-targets", "--check", "--no-deps", "--lib"}


def version(root):
    """Returns the version of the package."""
    return re.search(r'^version = "(.+)"', (root / "Cargo.toml").read_text(), re.MULTILINE)[1]


def check(root, arguments):
    """Checks the arguments of cargo. `root` is the directory of the sources."""
    command, *rest = arguments
    if command in EXTENSIONS:
        check_paths(root, rest)
        return
    if command not in COMMANDS:
        raise Failure(f"cargo {command}: expected one of {sorted(COMMANDS | EXTENSIONS)}")
    at = rest.index("--") if "--" in rest else len(rest)
    rest, passed = rest[:at], rest[at + 1:]
    sources, filters = targets(root, command, rest)
    for name in filters:
        check_filter(sources, name)
    if "--example" in rest:
        check_options(root, passed)


def targets(root, command, arguments):
    """Returns the source files of the target, and the other arguments."""
    if command == "bench" and "[[bench]]" not in (root / "Cargo.toml").read_text():
        raise Failure("there is no benchmark")
    sources, filters, rest = [root / "src"], [], iter(arguments)
    for argument in rest:
        if argument == "--test":
            name = next(rest, "")
            sources = [root / "tests" / name, root / "tests" / f"{name}.rs"]
            if not any((it / "main.rs").exists() or it.is_file() for it in sources):
                raise Failure(f"there is no test target {name!r}")
        elif argument == "--example":
            example(root, next(rest, ""))
        elif argument.startswith("-") and argument not in FLAGS:
            raise Failure(f"{argument}: expected --test, --example or one of {sorted(FLAGS)}")
        elif not argument.startswith("-"):
            filters.append(argument)
    return sources, filters


def example(root, name):
    """Returns the directory of an example, which Cargo.toml names."""
    manifest = (root / "Cargo.toml").read_text()
    found = re.search(rf'\[\[example\]\]\nname = "{re.escape(name)}"\npath = "(.+)"', manifest)
    if not found or not (root / found[1]).exists():
        raise Failure(f"there is no example {name!r}")
    return (root / found[1]).parent


def check_filter(sources, name):
    """Checks that a filter of `cargo test` names modules, or a part of a test's name."""
    files = [it for source in sources for it in ([source] if source.is_file() else source.rglob("*.rs"))]
    text = "\n".join(it.read_text(encoding="utf-8") for it in files)
    for part in name.split("::"):
        if not re.search(rf"\b(?:fn|mod) \w*{re.escape(part)}", text):
            raise Failure(f"no module or test is called {part!r}")


def check_options(root, arguments):
    """Checks the options of the load generator, and the scenarios."""
    text = "".join(it.read_text() for it in example(root, "load").glob("*.rs"))
    for argument in arguments:
        if argument.startswith("--") and f'"{argument[2:]}"' not in text:
            raise Failure(f"the load generator has no {argument}")
    if "--scenario" in arguments:
        for name in arguments[arguments.index("--scenario") + 1].split(","):
            if f'"{name}"' not in text:
                raise Failure(f"the load generator has no scenario {name!r}")


def check_paths(root, arguments):
    """Checks that the paths among the arguments exist."""
    for argument in arguments:
        if "/" in argument and not (root / argument).exists():
            raise Failure(f"{argument}: no such file")


def check_variable(root, name):
    """Checks that a variable of this project is read somewhere."""
    files = [it for directory in ("src", "tests") for it in (root / directory).rglob("*.rs")]
    if name.startswith("SESSIOND_") and not any(f'"{name}"' in it.read_text(encoding="utf-8") for it in files):
        raise Failure(f"nothing reads {name}")
