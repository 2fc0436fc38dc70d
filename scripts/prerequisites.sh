#!/bin/sh
# Makes sure the machine has what building and running Martlet needs. Debian names.
# Does nothing, in milliseconds, when all is there; installs what is missing when it may;
# otherwise prints the exact line to run and exits 1.
set -eu

missing=""
need() { missing="$missing $1"; }

# The newest PostgreSQL of 15 or later, wherever its distribution puts it.
postgres_bin=""
for directory in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
    [ -x "$directory/initdb" ] || continue
    version=${directory#*postgresql/}; version=${version#*pgsql-}; version=${version%%/*}
    case $version in *[!0-9]*|"") version=99 ;; esac
    [ "$version" -ge 15 ] && postgres_bin=$directory
done
if [ -z "$postgres_bin" ]; then
    if command -v apt-cache >/dev/null && apt-cache show postgresql-15 >/dev/null 2>&1; then
        need postgresql-15
    else
        need postgresql
    fi
fi

command -v pkg-config >/dev/null || need pkg-config
command -v git >/dev/null || need git
command -v gzip >/dev/null || need gzip
command -v setpriv >/dev/null || need util-linux
if command -v pkg-config >/dev/null; then
    pkg-config --exists libpq || need libpq-dev
    pkg-config --exists libcurl || need libcurl4-openssl-dev
    pkg-config --exists zlib || need zlib1g-dev
else
    need libpq-dev
    need libcurl4-openssl-dev
    need zlib1g-dev
fi
# `python3 -m venv` works only where ensurepip is installed, which Debian packages apart.
if ! python3 -Sc 'import importlib.util as u, sys; sys.exit(not (u.find_spec("ensurepip") and u.find_spec("venv")))' \
    2>/dev/null; then
    need python3-venv
fi

if [ "${1:-}" = --tests ]; then
    command -v chromium >/dev/null || need chromium
    # Where it isn't packaged, its test is skipped.
    if ! command -v slowhttptest >/dev/null && apt-cache show slowhttptest >/dev/null 2>&1; then need slowhttptest; fi
fi

if ! command -v swift >/dev/null; then
    echo "prerequisites: no 'swift' on the PATH; install Swift 6.2 or later: https://www.swift.org/install/linux" >&2
    exit 1
fi
[ -z "$missing" ] && exit 0

packages=$(echo "$missing" | sed 's/^ //')
install="apt-get update && apt-get install -y --no-install-recommends $packages"
if ! command -v apt-get >/dev/null; then
    echo "prerequisites: this machine lacks (by their Debian names): $packages" >&2
    echo "Install them with its own package manager, then run the command again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    elevate=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    elevate="sudo -n"
else
    echo "prerequisites: some packages are missing and installing them needs root. Run this, then try again:" >&2
    echo "" >&2
    echo "    sudo sh -c '$install'" >&2
    echo "" >&2
    exit 1
fi
echo "prerequisites: installing $packages"
$elevate env DEBIAN_FRONTEND=noninteractive sh -c "$install"
