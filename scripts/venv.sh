#!/bin/sh
# Makes sure that .martlet/venv holds what scripts/requirements.txt asks for.
set -eu
cd "$(dirname "$0")/.."
venv=.martlet/venv
wanted=$(sha256sum scripts/requirements.txt | cut -d' ' -f1)
if [ "$(cat "$venv/installed" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi
echo "venv: installing the Python packages of scripts/requirements.txt"
rm -rf "$venv"
mkdir -p .martlet
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 5 --requirement scripts/requirements.txt
echo "$wanted" > "$venv/installed"
