#!/bin/sh
# Installs the sessiond of a release into ~/.local/bin:
#
#   SESSIOND_DOWNLOAD_URL=https://… sh install.sh
#
# SESSIOND_DOWNLOAD_URL  address of the directory with the files of the release
# PREFIX                 where to install: PREFIX/bin instead of ~/.local/bin
#
# Nothing is installed unless the download has the checksum in SHA256SUMS, and runs on this machine.
set -eu

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

require() {
    for tool in "$@"; do
        has "$tool" || fail "$tool is not installed; it is needed to install sessiond"
    done
}

# Prints the target of the release that fits this machine.
target() {
    case "$(uname -s) $(uname -m)" in
        'Linux x86_64') echo x86_64-unknown-linux-gnu ;;
        'Linux aarch64') echo aarch64-unknown-linux-gnu ;;
        'Darwin x86_64') echo x86_64-apple-darwin ;;
        'Darwin arm64') echo aarch64-apple-darwin ;;
        *) fail "there is no binary for $(uname -s) on $(uname -m), only for Linux and macOS on x86_64 and arm64; build it from its sources" ;;
    esac
}

# Downloads like curl above. wget cannot refuse a redirect to plain HTTP, so its report is searched
# for one.
wget_safely() {
    wget --server-response --tries=1 --output-document="$2" "$1" 2>"$2.report" || return 1
    if grep -iq '^ *location: *http:' "$2.report"; then
        fail "$1 leads to an address that does not begin with https://; nothing was installed"
    fi
}

# download URL FILE
download() {
    if has curl; then
        curl --globoff --fail --silent --show-error --location --proto-redir =https --output "$2" "$1"
    else
        wget_safely "$1" "$2"
    fi || fail "$1 cannot be downloaded completely"
}

sha256() {
    if has sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

main() {
    url=${SESSIOND_DOWNLOAD_URL:-}
    url=${url%/}
    case $url in
        '') fail 'SESSIOND_DOWNLOAD_URL is not set: expected the address of the files of a release' ;;
        *[?#]*) fail 'SESSIOND_DOWNLOAD_URL has a ? or a #: expected the address of a directory' ;;
        # What precedes it could be taken for the host.
        *@*) fail 'SESSIOND_DOWNLOAD_URL has an @: expected an address without user information' ;;
        https://* | http://127.0.0.1:*) ;;
        *) fail "SESSIOND_DOWNLOAD_URL is $url: expected an address that begins with https://" ;;
    esac
    require uname mktemp tar gzip awk cut grep mkdir mv
    has curl || has wget || fail 'neither curl nor wget is installed; one of them is needed to download sessiond'
    has sha256sum || has shasum || fail 'neither sha256sum nor shasum is installed; one of them is needed to verify the download'
    target=$(target)
    bin=${PREFIX:-${HOME:?is not set, and neither is PREFIX}/.local}/bin
    case $bin in
        /*) ;;
        *) bin=$PWD/$bin ;;
    esac
    [ ! -d "$bin/sessiond" ] ||
        fail "$bin/sessiond is a directory; move it away, or set PREFIX to another directory"

    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    trap 'exit 1' HUP INT TERM

    download "$url/SHA256SUMS" "$directory/SHA256SUMS"
    # shellcheck disable=SC2046 # the two words of the line, neither of which has a blank or a pattern
    set -- $(awk -v end="-$target.tar.gz" '
        $1 ~ /^[0-9a-f]+$/ && $2 ~ /^sessiond-[0-9][0-9A-Za-z._-]*$/ &&
            substr($2, length($2) - length(end) + 1) == end
    ' "$directory/SHA256SUMS")
    [ $# -eq 2 ] || fail "$url/SHA256SUMS does not list one file for $target"
    expected=$1 file=$2

    download "$url/$file" "$directory/$file"
    actual=$(sha256 "$directory/$file")
    [ "$actual" = "$expected" ] ||
        fail "$url/$file has the SHA-256 $actual, but SHA256SUMS says $expected; nothing was installed"

    tar -xzf "$directory/$file" -C "$directory" "${file%.tar.gz}/sessiond" ||
        fail "$url/$file does not contain sessiond; nothing was installed"
    unpacked=$directory/${file%.tar.gz}/sessiond
    version=$("$unpacked" --version) ||
        fail 'the binary does not run on this machine (on Linux it needs glibc 2.28 or newer); nothing was installed'

    # By a rename, so that there is always a complete binary, even while the old one runs.
    mkdir -p "$bin" || fail "$bin cannot be created; set PREFIX to another directory"
    mv "$unpacked" "$bin/.sessiond.new"
    mv "$bin/.sessiond.new" "$bin/sessiond"
    echo "$version is installed: $bin/sessiond"
    case ":$PATH:" in
        *":$bin:"*) return ;;
    esac
    echo "$bin is not in PATH. Add it, in the file that your shell reads at its start."
    # A shell would read other characters differently there.
    # shellcheck disable=SC2016 # it is printed
    case $bin in
        *[!A-Za-z0-9/._+-]*) ;;
        *) printf '\n  export PATH="%s:%s"\n' "$bin" '$PATH' ;;
    esac
}

main "$@"
