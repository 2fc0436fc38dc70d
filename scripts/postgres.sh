#!/bin/sh
# A private PostgreSQL cluster: scripts/postgres.sh start|stop|status|kill|remove DIRECTORY [PORT]
#
# DIRECTORY (such as .martlet/postgres) keeps `data` (the cluster, or a link to it), `port`,
# `password` and `url` (both readable to the owner alone) and `log`. Without PORT the first start
# picks a free one and later starts keep it. Started as root, the server runs as user postgres,
# because PostgreSQL refuses root. It listens on 127.0.0.1 only, with scram passwords and no socket,
# and everything that makes a commit durable stays on.
set -eu

usage() { echo "usage: $0 start|stop|status|kill|remove DIRECTORY [PORT]" >&2; exit 2; }
[ $# -ge 2 ] || usage
verb=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)
wanted_port=${3:-}
data=$directory/data

bin=""
for candidate in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
    [ -x "$candidate/initdb" ] && bin=$candidate
done
if [ -z "$bin" ]; then
    command -v initdb >/dev/null || { echo "postgres: no PostgreSQL found; run scripts/prerequisites.sh" >&2; exit 1; }
    bin=$(dirname "$(command -v initdb)")
fi
# A cluster stays with the version that made it.
if [ -f "$data/PG_VERSION" ] && [ -x "/usr/lib/postgresql/$(cat "$data/PG_VERSION")/bin/postgres" ]; then
    bin=/usr/lib/postgresql/$(cat "$data/PG_VERSION")/bin
fi

if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid=postgres --regid=postgres --init-groups --reset-env"
    owner=postgres
else
    as=""
    owner=$(id -un)
fi

postmaster_pid() {
    # The pid in postmaster.pid, if that process really is the postmaster of this cluster: after
    # a crash the number may belong to somebody else, and PostgreSQL would refuse to start.
    [ -f "$data/postmaster.pid" ] || return 1
    pid=$(head -n 1 "$data/postmaster.pid")
    case $pid in ''|*[!0-9]*) return 1 ;; esac
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(readlink -f "$data")" ] || return 1
    echo "$pid"
}

free_port() {
    # A port that nobody listens on, below the range the kernel hands out to clients.
    port=$((20000 + ( $(od -An -N2 -tu2 /dev/urandom) % 10000 )))
    while grep -q "$(printf ':%04X ' "$port")" /proc/net/tcp /proc/net/tcp6 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

private_write() { # FILE, content from stdin; never readable to others, not even for a moment
    (umask 077; cat > "$1.new"); chmod 600 "$1.new"; mv "$1.new" "$1"
}

place_data() {
    # Where user postgres cannot reach the checkout, the cluster lives under /var/tmp, linked here.
    [ -e "$data/PG_VERSION" ] && return
    if [ -z "$as" ] || { $as test -x "$directory"; }; then
        rm -f "$data"
        mkdir -p -m 700 "$data"
    else
        elsewhere=/var/tmp/martlet-$(printf %s "$directory" | sha256sum | cut -c1-16)
        mkdir -p -m 700 "$elsewhere"
        # /var/tmp is everybody's: accept only what is a directory of ours.
        if [ -L "$elsewhere" ] || case $(stat -c %U "$elsewhere") in root|"$owner") false ;; *) true ;; esac; then
            echo "postgres: $elsewhere belongs to $(stat -c %U "$elsewhere"); remove it and try again" >&2
            exit 1
        fi
        rm -rf "$data"
        ln -s "$elsewhere" "$data"
    fi
    [ -z "$as" ] || chown "$owner" "$(readlink -f "$data")"
}

initialise() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' | private_write "$directory/password"
    # initdb reads the password as user postgres, who may not read ours: hand it a copy.
    copy=$(mktemp)
    cp "$directory/password" "$copy"
    [ -z "$as" ] || chown "$owner" "$copy"
    real=$(readlink -f "$data")
    if ! (cd / && $as "$bin/initdb" --pgdata="$real" --username=postgres --pwfile="$copy" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums) > "$directory/initdb.log" 2>&1; then
        rm -f "$copy"
        echo "postgres: initdb failed:" >&2
        cat "$directory/initdb.log" >&2
        exit 1
    fi
    rm -f "$copy" "$directory/initdb.log"
    # A sixteenth of the memory, between 128 MB and 1 GB.
    buffers=$(awk '/^MemTotal/ { print int($2 / 16384) }' /proc/meminfo 2>/dev/null || echo 256)
    [ "${buffers:-0}" -ge 128 ] || buffers=128
    [ "$buffers" -le 1024 ] || buffers=1024
    $as tee -a "$real/postgresql.conf" > /dev/null <<SETTINGS
# Martlet's private cluster. Everything that makes a commit durable stays on.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = ${buffers}MB
work_mem = 8MB
maintenance_work_mem = 128MB
effective_cache_size = 2GB
wal_compression = lz4
max_wal_size = 4GB
# Files that are there already: making one stops every commit until 16 MB of zeros are on the disk.
min_wal_size = 1GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
fsync = on
full_page_writes = on
synchronous_commit = on
log_min_duration_statement = 2s
log_parameter_max_length = 0
log_checkpoints = off
timezone = 'UTC'
log_timezone = 'UTC'
SETTINGS
}

start() {
    if pid=$(postmaster_pid); then
        echo "postgres: running (pid $pid, port $(cat "$directory/port"))"
        return
    fi
    place_data
    [ -f "$data/PG_VERSION" ] || initialise
    if [ -n "$wanted_port" ]; then
        echo "$wanted_port" > "$directory/port"
    elif [ ! -s "$directory/port" ]; then
        free_port > "$directory/port"
    fi
    port=$(cat "$directory/port")
    # The log is the server's own to write, wherever the data had to go.
    [ -e "$directory/log" ] || : > "$directory/log"
    real=$(readlink -f "$data")
    log=$real/server.log
    rm -f "$data/postmaster.pid"
    attempt=0
    # After SIGKILL the old children need a moment to let go of the shared memory.
    until (cd / && $as "$bin/pg_ctl" start --silent --wait --timeout=60 --pgdata="$real" --log="$log" \
        --options="-p $port") > "$directory/start.log" 2>&1; do
        attempt=$((attempt + 1))
        if [ $attempt -ge 15 ]; then
            echo "postgres: it does not start on port $port; the end of its log:" >&2
            tail -n 5 "$log" >&2
            exit 1
        fi
        if [ -z "$wanted_port" ] && tail -n 5 "$log" | grep -q 'could not bind'; then
            port=$(free_port)
            echo "$port" > "$directory/port"
        else
            sleep 1
        fi
    done
    rm -f "$directory/start.log" "$directory/log"
    ln -s "$log" "$directory/log"
    printf 'postgres://postgres:%s@127.0.0.1:%s/postgres' "$(cat "$directory/password")" "$port" \
        | private_write "$directory/url"
    echo "postgres: started (port $port, data $real)"
}

stop() {
    if pid=$(postmaster_pid); then
        (cd / && $as "$bin/pg_ctl" stop --silent --wait --mode=fast --timeout=60 --pgdata="$(readlink -f "$data")")
        echo "postgres: stopped"
    else
        echo "postgres: not running"
    fi
}

case $verb in
    start) start ;;
    stop) stop ;;
    status)
        if pid=$(postmaster_pid); then
            echo "postgres: running (pid $pid, port $(cat "$directory/port"))"
        else
            echo "postgres: not running"
            exit 3
        fi ;;
    kill) # what a crash test does: no warning, no shutdown
        if pid=$(postmaster_pid); then kill -KILL "$pid"; echo "postgres: killed"; else echo "postgres: not running"; fi ;;
    remove)
        stop
        real=$(readlink -f "$data" || true)
        case $real in /var/tmp/martlet-*) rm -rf "$real" ;; esac
        rm -rf "$directory" ;;
    *) usage ;;
esac
