#!/bin/bash
# `make test`: everything. A private PostgreSQL under .martlet/test, the Swift tests, then the Python
# suites under Tests/ against the real executables. Stops what it started, whatever happens.
#
#   scripts/test.sh --filter NAME     only Swift tests whose name matches
#   MARTLET_SKIP_PYTHON=1             leave the Python suites out
set -euo pipefail
cd "$(dirname "$0")/.."
started=$(date +%s)

scripts/prerequisites.sh --tests
scripts/venv.sh
testing=""
stop() {
    # `timeout` has a process group of its own, which Ctrl-C does not reach.
    if [ -n "$testing" ]; then kill -TERM "$testing" 2>/dev/null || true; fi
    scripts/postgres.sh stop .martlet/test/postgres > /dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
scripts/postgres.sh start .martlet/test/postgres

export MARTLET_TEST_DATABASE_URL=$(cat .martlet/test/postgres/url)
export MARTLET_TEST_POSTGRES=$PWD/.martlet/test/postgres
export MARTLET_TEST_PYTHON=$PWD/.martlet/venv/bin/python

step() { printf '\n== %s\n' "$1"; }
failed=()

step "building"
# No index: nothing here asks for one (Tests/XCTMain.swift says why), and a clean build takes half the time without.
swift build --build-tests --disable-index-store
export MARTLET_BIN_DIRECTORY=$(swift build --show-bin-path)

step "Swift tests"
# A few at a time: each brings up services and databases of its own, and all at once would time each other out.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${MARTLET_TEST_WIDTH:-4}
# A test that waits for what never comes must not hold everything up for ever.
timeout --kill-after=30 1500 swift test --skip-build --enable-swift-testing --disable-xctest "$@" &
testing=$!
wait "$testing" || failed+=("Swift tests")
testing=""

if [ $# -eq 0 ]; then
    step "fuzzing"
    scripts/fuzz.sh "${MARTLET_FUZZ_SECONDS:-20}" || failed+=("fuzzing")
fi

if [ -z "${MARTLET_SKIP_PYTHON:-}" ]; then
    suites=()
    for suite in Tests/EndToEnd Tests/Browser; do
        if compgen -G "$suite/test_*.py" > /dev/null; then suites+=("$suite"); fi
    done
    if [ ${#suites[@]} -gt 0 ]; then
        step "Python suites: ${suites[*]}"
        "$MARTLET_TEST_PYTHON" -m pytest -p no:cacheprovider --color=no -ra --durations=5 "${suites[@]}" \
            || failed+=("Python suites")
    fi
fi

took=$(( $(date +%s) - started ))
if [ ${#failed[@]} -eq 0 ]; then
    printf '\n== make test: all passed, in %d s\n' "$took"
else
    printf '\n== make test: FAILED: %s, after %d s\n' "$(IFS=,; echo "${failed[*]}")" "$took"
    exit 1
fi
