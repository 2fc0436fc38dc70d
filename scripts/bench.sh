#!/bin/bash
# `make bench`: measures the import of a year of real orders, and the time from an event to its mail, on a
# release build and a private PostgreSQL. Prints tables for the README.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/prerequisites.sh
scripts/venv.sh
swift build --configuration release
MARTLET_BIN_DIRECTORY=$(swift build --configuration release --show-bin-path)
export MARTLET_BIN_DIRECTORY
for benchmark in Tests/Benchmarks/bench_*.py; do
    .martlet/venv/bin/python "$benchmark"
done
