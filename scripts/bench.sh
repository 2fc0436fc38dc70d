#!/bin/bash
# `make bench`: measures the import of a year of real orders, and the time from an event to its mail, on a
# release build and a private PostgreSQL. Prints tables for the README.
#
#   scripts/bench.sh ingestion [soak]     one benchmark alone, with its own arguments
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/prerequisites.sh
scripts/venv.sh
swift build --configuration release
MARTLET_BIN_DIRECTORY=$(swift build --configuration release --show-bin-path)
export MARTLET_BIN_DIRECTORY
if [ $# -gt 0 ]; then
    name=$1
    shift
    if { [ "$name" = ingestion ] || [ "$name" = consent ]; } && ! command -v wrk > /dev/null; then
        echo "bench: wrk is missing: apt-get install -y wrk" >&2
        exit 1
    fi
    if [ "$name" = segmentation ]; then
        .martlet/venv/bin/python Tests/Benchmarks/bench_segmentation.py "$@"
        exec .martlet/venv/bin/python Tests/Benchmarks/bench_segmentation_stream.py
    fi
    exec .martlet/venv/bin/python "Tests/Benchmarks/bench_$name.py" "$@"
fi
for benchmark in retail delivery; do
    .martlet/venv/bin/python "Tests/Benchmarks/bench_$benchmark.py"
done
