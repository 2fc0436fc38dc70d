#!/bin/bash
# `make release-check`: the executables as they are shipped, each started and changed. What optimised code does otherwise than
# debug code no other test sees: once it ended the process at the first change of anything.
#
# Takes the minutes of a release build, and then about two for an installation: each change that services offer to operators
# (test_audit.py), and a shopper's way through all of them (test_shopper.py).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/prerequisites.sh --tests
scripts/venv.sh
swift build --configuration release
MARTLET_BIN_DIRECTORY=$(swift build --configuration release --show-bin-path)
export MARTLET_BIN_DIRECTORY
exec .martlet/venv/bin/python -m pytest -p no:cacheprovider --color=no -ra \
    Tests/EndToEnd/test_audit.py Tests/EndToEnd/test_shopper.py "$@"
