"""What the benchmarks stand on: the installations of the end-to-end tests, on a release build."""

import os
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
os.environ.setdefault("MARTLET_BIN_DIRECTORY", str(REPOSITORY / ".build" / "release"))
os.chdir(REPOSITORY)
sys.path.insert(0, str(REPOSITORY / "Tests" / "EndToEnd"))

from installation import DATA, SERVICES, Installation, wait_for  # noqa: E402, F401


def machine():
    """The machine in a few words."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    name = re.sub(r"\s+", " ", model.group(1)).strip() if model else "an unnamed processor"
    build = Path(os.environ["MARTLET_BIN_DIRECTORY"]).name
    return f"{os.cpu_count()} cores ({name}), {int(memory.group(1)) / 2**20:.0f} GB, {build} build"


def memory_table(installation):
    """What each service holds now and at most held, from /proc."""
    rows = []
    for service in SERVICES:
        status = Path(f"/proc/{installation.pid(service)}/status").read_text()
        now, most = (int(re.search(rf"{name}:\s*(\d+)", status).group(1)) / 1024 for name in ("VmRSS", "VmHWM"))
        rows.append(f"| {service} | {now:.0f} MB | {most:.0f} MB |")
    return "\n".join(["| service | memory afterwards | at most |", "|---|---|---|", *rows])
