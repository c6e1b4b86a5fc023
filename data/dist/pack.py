"""Packs a binary of sessiond: a tarball, two npm packages, a wheel, and their checksums.

    python3 data/dist/pack.py BINARY TARGET

Writes them to target/packages, which it empties first. The version and the descriptions are those of
Cargo.toml. The same binary gives the same tarball and wheel, byte by byte.
"""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "data/dist"
PACKAGES = ROOT / "target/packages"

LICENCES = ["LICENSE-APACHE", "LICENSE-MIT"]
EXAMPLES = sorted(ROOT.glob("data/examples/*.*"))
# Under their paths in the repository, so that links between them work.
DOCUMENTS = [*LICENCES, "README.md", "CHANGELOG.md", "SECURITY.md", "data/Dockerfile", "data/sessiond.service",
             *(str(it.relative_to(ROOT)) for it in [*sorted(ROOT.glob("docs/*.md")), *EXAMPLES])]
# The modules that the server serves as /client.js and /chat-transport.js.
MODULES = ["client", "chat-transport"]
COMPLETIONS = {"bash": "sessiond.bash", "elvish": "sessiond.elv", "fish": "sessiond.fish",
               "powershell": "_sessiond.ps1", "zsh": "_sessiond"}


class Platform(NamedTuple):
    """What npm and Python call the platform of a target."""
    os: str
    cpu: str
    wheel: str

    @property
    def package(self):
        return f"@sessiond/{self.os}-{self.cpu}"


PLATFORMS = {
    "x86_64-unknown-linux-gnu": Platform("linux", "x64", "manylinux_2_28_x86_64"),
    "aarch64-unknown-linux-gnu": Platform("linux", "arm64", "manylinux_2_28_aarch64"),
    "x86_64-apple-darwin": Platform("darwin", "x64", "macosx_10_12_x86_64"),
    "aarch64-apple-darwin": Platform("darwin", "arm64", "macosx_11_0_arm64"),
}


def run(*command, **options):
    """Runs a command and returns what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def manifest():
    """Returns the package of Cargo.toml."""
    metadata = run("cargo", "metadata", "--no-deps", "--locked", "--format-version=1", cwd=ROOT)
    package = next(it for it in json.loads(metadata)["packages"] if it["name"] == "sessiond")
    if not re.fullmatch(r"\d+\.\d+\.\d+", package["version"]):
        # npm and Python spell such versions differently.
        sys.exit(f"version {package['version']} in Cargo.toml: expected MAJOR.MINOR.PATCH")
    return package


def tarball(binary, name):
    """Writes the tarball, whose files are in a directory of its name."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, name)
        for document in DOCUMENTS:
            copy(ROOT / document, root / document)
        copy(binary, root / "sessiond")
        (root / "man").mkdir()
        run(binary, "man", root / "man")
        (root / "completions").mkdir()
        for shell, file in COMPLETIONS.items():
            Path(root, "completions", file).write_text(run(binary, "completions", shell))
        # Neither contains the time of the build or the builder's name.
        with gzip.GzipFile(PACKAGES / f"{name}.tar.gz", "wb", mtime=0) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                archive.add(root, name, filter=anonymous)


def anonymous(member):
    """Removes from a member of a tarball what differs from machine to machine."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def npm_packages(binary, package, platform):
    """Writes the package with the binary, and the one that users install, which names all of those."""
    common = {"version": package["version"], "license": package["license"]}
    npm_package({
        "name": platform.package,
        "description": f"The binary of sessiond for {platform.os} {platform.cpu}",
        **common,
        "os": [platform.os],
        "cpu": [platform.cpu],
        **({"libc": ["glibc"]} if platform.os == "linux" else {}),
        "preferUnplugged": True,
    }, {binary: "bin/sessiond"})
    npm_package({
        "name": "sessiond",
        "description": package["description"],
        "keywords": package["keywords"],
        **common,
        "bin": {"sessiond": "bin/sessiond.js"},
        "exports": {
            **{f"./{it}": {"types": f"./client/{it}.d.ts", "default": f"./client/{it}.js"} for it in MODULES},
            "./package.json": "./package.json",
        },
        "engines": {"node": ">=18"},
        "optionalDependencies": {it.package: package["version"] for it in PLATFORMS.values()},
        # Only the types of the chat transport import it.
        "peerDependencies": {"ai": "*"},
        "peerDependenciesMeta": {"ai": {"optional": True}},
    }, {
        DIST / "npm/sessiond.js": "bin/sessiond.js",
        DIST / "npm/client.json": "client/package.json",
        **{it: f"examples/{it.name}" for it in EXAMPLES if it.suffix != ".md"},
        **{ROOT / f"src/console/client/{it}{end}": f"client/{it}{end}" for it in MODULES for end in (".js", ".d.ts")},
    })


def npm_package(description, files):
    """Writes an npm package of files, by their names in it, with the licences and the page about it."""
    files = {**files, DIST / "README.md": "README.md", **{ROOT / it: it for it in LICENCES}}
    with tempfile.TemporaryDirectory() as directory:
        for source, name in files.items():
            copy(source, Path(directory, name))
        Path(directory, "package.json").write_text(json.dumps(description, indent=2) + "\n")
        run("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", PACKAGES, cwd=directory)


def wheel(binary, package, platform):
    """Writes the wheel: the binary as a script, as `bindings = "bin"` of maturin has it."""
    name = f"sessiond-{package['version']}"
    tag = f"py3-none-{platform.wheel}"
    licences = {f"licenses/{it}": (ROOT / it).read_bytes() for it in LICENCES}
    metadata = [
        "Metadata-Version: 2.4", "Name: sessiond", f"Version: {package['version']}",
        f"Summary: {package['description']}", f"Keywords: {','.join(package['keywords'])}",
        f"License-Expression: {package['license']}", *(f"License-File: {it}" for it in LICENCES),
        "Requires-Python: >=3.8", "Description-Content-Type: text/markdown", "",
        (DIST / "README.md").read_text()]
    about = ["Wheel-Version: 1.0", "Generator: sessiond", "Root-Is-Purelib: false", f"Tag: {tag}", ""]
    described = {"METADATA": "\n".join(metadata).encode(), "WHEEL": "\n".join(about).encode(), **licences}
    files = {f"{name}.data/scripts/sessiond": binary.read_bytes(),
             **{f"{name}.dist-info/{it}": text for it, text in described.items()}}
    record = f"{name}.dist-info/RECORD"
    rows = [f"{it},sha256={urlsafe_sha256(content)},{len(content)}" for it, content in files.items()]
    files[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    with zipfile.ZipFile(PACKAGES / f"{name}-{tag}.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            # Without a date: that of the entry is 1980.
            entry = zipfile.ZipInfo(file)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if "/scripts/" in file else 0o100644) << 16
            archive.writestr(entry, content)


def urlsafe_sha256(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def checksums():
    """Writes SHA256SUMS, in the form that `sha256sum --check` reads."""
    lines = [f"{hashlib.sha256(it.read_bytes()).hexdigest()}  {it.name}\n" for it in sorted(PACKAGES.iterdir())]
    (PACKAGES / "SHA256SUMS").write_text("".join(lines))


def main(binary, target):
    if target not in PLATFORMS:
        sys.exit(f"no packages for {target}: expected one of {', '.join(PLATFORMS)}")
    package = manifest()
    printed = run(binary, "--version").partition("\n")[0]
    if printed != f"sessiond {package['version']}":
        sys.exit(f"{binary} is {printed}, but Cargo.toml says {package['version']}: build it anew")
    shutil.rmtree(PACKAGES, ignore_errors=True)
    PACKAGES.mkdir(parents=True)
    tarball(binary, f"sessiond-{package['version']}-{target}")
    npm_packages(binary, package, PLATFORMS[target])
    wheel(binary, package, PLATFORMS[target])
    copy(DIST / "install.sh", PACKAGES / "install.sh")
    checksums()
    for file in sorted(PACKAGES.iterdir()):
        print(f"{file.stat().st_size:>10}  {file.relative_to(ROOT)}")


main(Path(sys.argv[1]), sys.argv[2])
