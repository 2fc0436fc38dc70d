#!/bin/bash
# `make run`: everything up on this machine, a shopper simulation flowing through, a summary, and
# then it stays until interrupted. Running it again goes on with the data in .martlet/.
#
#   MARTLET_SHOPPERS=24 MARTLET_DAYS=7 MARTLET_SEED=1   what the first run simulates
#   MARTLET_SMTP_URL=smtp://…                           send mails there instead of .martlet/outbox
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .martlet/run
exec 9> .martlet/run/make.lock
if ! flock -n 9; then
    echo "make run: it runs here already; stop it with Ctrl-C where it was started" >&2
    exit 1
fi

scripts/prerequisites.sh
swift build --configuration release
bin=$(swift build --configuration release --show-bin-path)
martlet=$bin/martlet

up=""
simulation=""
stop() {
    trap '' INT TERM
    if [ -n "$simulation" ] && kill -0 "$simulation" 2>/dev/null; then kill -TERM "$simulation"; fi
    if [ -n "$up" ] && kill -0 "$up" 2>/dev/null; then
        kill -TERM "$up"
        wait "$up" || true
    fi
    scripts/postgres.sh stop .martlet/postgres
}
trap 'exit 130' INT
trap 'exit 143' TERM
trap stop EXIT

# What is started here must not hold the lock when this script is gone.
scripts/postgres.sh start .martlet/postgres 9>&-
rm -f .martlet/run/ready
"$martlet" up --rehearsal --examples --directory .martlet 9>&- &
up=$!
until [ -e .martlet/run/ready ]; do
    kill -0 "$up" 2>/dev/null || exit 1
    sleep 0.1
done

if [ ! -e .martlet/simulated ]; then
    "$martlet" simulate --directory .martlet --seed "${MARTLET_SEED:-1}" \
        --shoppers "${MARTLET_SHOPPERS:-24}" --days "${MARTLET_DAYS:-7}" --truth .martlet/truth.json 9>&- &
    simulation=$!
    wait "$simulation"
    simulation=""
    date -u +%FT%TZ > .martlet/simulated
fi
"$martlet" drain --directory .martlet
cat <<'TEXT'

Where to look
  .martlet/outbox/         the mails that were sent, as .eml files
  .martlet/logs/           one JSON log per service
  .martlet/truth.json      who the simulated shoppers really are
  .martlet/admin-key       an API key with the scope `admin`
  http://127.0.0.1:8102/openapi.yaml   the contract of identity; every service serves its own

Try
  curl -H "Authorization: Bearer $(cat .martlet/admin-key)" http://127.0.0.1:8104/v1/segments
TEXT
echo "  $martlet clock advance 24h      # let a day pass"
echo "  $martlet simulate --seed 2 --shoppers 10 --days 2"
echo ""
echo "Everything runs until you press Ctrl-C."
wait "$up"
