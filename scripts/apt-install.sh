#!/bin/sh
# Installs Debian packages, where this user may: as root, or through sudo without a password.
# Exit code 1, and one line that says why, when that is not possible here.
#
#     scripts/apt-install.sh PACKAGE...
#
# RUNLEVEL=1 asks the package scripts not to start the service that a package brings. Whether they
# obey does not matter to us: nothing in this repository uses a server that it did not start.
set -eu

refuse() {
    echo "apt-install: $1" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 || refuse "there is no apt-get here; install by hand: $*"

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    refuse "not root, and sudo asks for a password; run: sudo apt-get install $*"
fi

quiet_apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

install() {
    quiet_apt install --yes --no-install-recommends "$@"
}

# The package lists of a fresh image are missing or out of date: fetch them only when needed.
if apt-cache show "$@" >/dev/null 2>&1 && install "$@"; then
    exit 0
fi
quiet_apt update || refuse "apt-get update failed"
install "$@" || refuse "apt-get could not install: $*"
