#!/usr/bin/env bash
# Installs the programs that the tests of this crate run: Debian's, if we are root and they are missing, and from PyPI the
# module sysv_ipc, in a virtual environment in cargo's target directory. What cannot be had is reported and skipped, by
# this script as by the tests.
set -euo pipefail
cd "$(dirname "$0")"

packages=()
need() { # program, package
    command -v "$1" >/dev/null || packages+=("$2")
}
need perl perl
need ipcs util-linux-extra # where lsipc and its kin have a package of their own
need sysctl procps
need tmux tmux
need php php-cli
need stress-ng stress-ng
need fakeroot-sysv fakeroot
[[ -x /usr/sbin/apache2 ]] || packages+=(apache2-bin)
need ab apache2-utils
need Xvfb xvfb
need x11perf x11-apps
[[ -x /usr/lib/postgresql/15/bin/pgbench ]] || packages+=(postgresql-15)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

if ((${#packages[@]})); then
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        timeout 300 apt-get update -q || echo "install.sh: the lists of packages are as old as they were" >&2
        # One by one, so that what is unknown to this release costs only itself. Nothing is started: no server of the
        # package's own is wanted.
        for package in "${packages[@]}"; do
            RUNLEVEL=1 timeout 300 apt-get install -q -y --no-install-recommends "$package" </dev/null ||
                echo "install.sh: $package cannot be installed" >&2
        done
    else
        echo "install.sh: not installed, because only root may: ${packages[*]}" >&2
    fi
fi

venv=${CARGO_TARGET_DIR:-$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')}/programs-venv
if ! "$venv/bin/python" -c 'import sysv_ipc' 2>/dev/null; then
    if ! { timeout 60 python3 -m venv "$venv" && timeout 300 "$venv/bin/pip" install -q sysv_ipc==1.2.0; }; then
        rm -rf "$venv"
        echo "install.sh: the module sysv_ipc cannot be installed" >&2
    fi
fi
