"""An installation of Martlet for one test module: its own PostgreSQL cluster, directory and ports.

It is brought up as anybody would, by `scripts/postgres.sh start` and `martlet up`, and asked over HTTP with its
own keys. A test that must hold a single service in its hand lets `take_over` run the executables instead.
"""

import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import requests

REPOSITORY = Path(__file__).resolve().parents[2]
EXECUTABLES = Path(os.environ.get("MARTLET_BIN_DIRECTORY", REPOSITORY / ".build" / "debug"))
INSTALLATIONS = REPOSITORY / ".martlet" / "test" / "installations"
DATA = REPOSITORY.parent / "shared" / "data"
# What random choices come from; printed at the head of each run.
SEED = int(os.environ.get("MARTLET_SEED", "20261121"))
SERVICES = ["ingestion", "identity", "consent", "segmentation", "recommendation", "journeys", "delivery"]


class StillWaiting(AssertionError):
    """A condition did not come true in time."""


class MountRefused(Exception):
    """This user may not mount anything here."""


def wait_for(condition, what, within=60.0, every=0.05):
    """The first true value of `condition`, looked at again and again until the time is up."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise StillWaiting(f"after {within:.0f} s still waiting for {what}")
        time.sleep(every)


def wait_for_a_moment(seconds):
    """Lets real time pass where that is the very thing tested: a service that is away for a while."""
    time.sleep(seconds)


def parse_instant(text):
    """An RFC 3339 time as a datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def write_instant(instant):
    """A datetime as RFC 3339 with milliseconds."""
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


class PostgresCluster:
    """A private PostgreSQL, which may be killed."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def _run(self, verb):
        done = subprocess.run(
            [REPOSITORY / "scripts" / "postgres.sh", verb, self.directory], capture_output=True, text=True)
        assert done.returncode == 0, f"postgres.sh {verb}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self):
        self._run("start")

    def stop(self):
        self._run("stop")

    def kill(self):
        """SIGKILL: no warning, no shutdown. Ends when the orphaned backends have gone too."""
        postmaster = (self.directory / "data" / "postmaster.pid").read_text().split("\n")[0]
        backends = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        self._run("kill")
        wait_for(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in backends), "the backends to notice", within=30)

    def remove(self):
        self.stop()
        for mounted in self.mounts():
            subprocess.run(["umount", mounted], check=True)
        self._run("remove")

    def is_running(self):
        return subprocess.run(
            [REPOSITORY / "scripts" / "postgres.sh", "status", self.directory], capture_output=True).returncode == 0

    @property
    def data(self):
        """Where the cluster really is."""
        return (self.directory / "data").resolve()

    def put_on_small_disks(self, data, wal):
        """Moves the stopped cluster to two disks of so many megabytes, held in memory: its data, and its WAL."""
        aside = self.data.with_name(self.data.name + ".aside")
        owner = (self.data / "PG_VERSION").stat()
        self.data.rename(aside)
        try:
            for directory, megabytes in [(self.data, data), (self.data / "pg_wal", wal)]:
                directory.mkdir(mode=0o700)
                mounted = subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "martlet-test", directory],
                    capture_output=True, text=True)
                if mounted.returncode != 0:
                    raise MountRefused(mounted.stderr.strip())
                shutil.copytree(
                    aside / directory.relative_to(self.data), directory, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("pg_wal") if directory == self.data else None)
                subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", directory], check=True)
        except MountRefused:
            for mounted in self.mounts():
                subprocess.run(["umount", mounted], check=True)
            shutil.rmtree(self.data)
            aside.rename(self.data)
            raise
        shutil.rmtree(aside)

    def mounts(self):
        """What is mounted at or below the cluster, the innermost first."""
        found = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        below = str(self.data) + "/"
        return sorted((path for path in found if (path + "/").startswith(below)), key=len, reverse=True)

    def url(self, database="postgres"):
        return (self.directory / "url").read_text().strip().rsplit("/", 1)[0] + "/" + database


class Installation:
    """What one test module works on."""

    def __init__(self, name, environment=None, rehearsal=True, examples=True):
        self.directory = INSTALLATIONS / f"{name}-{os.getpid()}"
        self.postgres = PostgresCluster(self.directory / "postgres")
        self.rehearsal = rehearsal
        self.examples = examples
        self.base_port = free_ports(len(SERVICES) + 1)
        self.settings = dict(environment or {})
        self.supervisor = None
        self.processes = {}
        self.plans = {}
        self.http = requests.Session()
        self.http.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=32)
        self.http.mount("http://", adapter)
        self._secrets = {}

    # Coming and going.

    def start(self):
        self.directory.mkdir(parents=True)
        self.postgres.start()
        self.up()
        return self

    def environment(self):
        """What the programs are started with: nothing of ours but what the test set."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MARTLET_")}
        return inherited | self.settings

    def up(self, within=180):
        """`martlet up`, until it says that it is ready."""
        ready = self.directory / "run" / "ready"
        ready.unlink(missing_ok=True)
        command = [
            EXECUTABLES / "martlet", "up", "--directory", self.directory, "--base-port", str(self.base_port),
            "--bin-directory", EXECUTABLES, "--ready-within", str(within),
        ]
        if self.rehearsal:
            command.append("--rehearsal")
        if self.examples:
            command += ["--examples", "--examples-directory", REPOSITORY / "deploy" / "examples"]
        with open(self.directory / "up.log", "ab") as log:
            self.supervisor = subprocess.Popen(
                command, cwd=REPOSITORY, env=self.environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=end_with_parent)

        def is_ready():
            assert self.supervisor.poll() is None, "`martlet up` ended:\n" + self.tail("up.log")
            return ready.exists()

        try:
            wait_for(is_ready, "`martlet up` to be ready:\n" + self.tail("up.log"), within=within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail('up.log')}\n{self.complaints()}") from None

    def down(self, within=90):
        """Ctrl-C."""
        if self.supervisor is None:
            return
        self.supervisor.send_signal(signal.SIGINT)
        try:
            self.supervisor.wait(within)
        finally:
            if self.supervisor.poll() is None:
                self.supervisor.kill()
                self.supervisor.wait()
                self._end_orphans()
            self.supervisor = None

    def _end_orphans(self):
        for service in SERVICES:
            pid = self.pid(service)
            if pid:
                os.kill(pid, signal.SIGKILL)

    def remove(self):
        """Stops everything and leaves nothing behind."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        try:
            self.down()
        finally:
            self.postgres.remove()
            if os.environ.get("MARTLET_KEEP_INSTALLATIONS"):
                print(f"kept {self.directory}")
            else:
                shutil.rmtree(self.directory, ignore_errors=True)

    # Services one by one.

    def pid(self, service):
        """The process of a service that `martlet up` runs; None while there is none."""
        try:
            entries = json.loads((self.directory / "run" / "services.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        for entry in entries:
            if entry["service"] == service and entry["pid"] > 0:
                try:
                    executable = os.readlink(f"/proc/{entry['pid']}/exe")
                except OSError:
                    return None
                return entry["pid"] if Path(executable).name == f"martlet-{service}" else None
        return None

    def take_over(self):
        """Ends `martlet up` and runs the same executables with the same environment from here."""
        for service in SERVICES:
            pid = wait_for(lambda: self.pid(service), f"the process of {service}")
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            self.plans[service] = dict(item.split("=", 1) for item in environment if "=" in item)
        self.down()
        for service in SERVICES:
            self.start_service(service)
        for service in SERVICES:
            self.wait_for_ready(service)

    def start_service(self, service, under=()):
        """Starts a service, `under` another command such as `prlimit`."""
        with open(self.directory / "logs" / f"{service}.log", "ab") as log:
            self.processes[service] = subprocess.Popen(
                [*under, EXECUTABLES / f"martlet-{service}", "serve"], env=self.plans[service], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=end_with_parent)

    def stop_service(self, service, within=60):
        """SIGTERM, and waits until the process has ended by itself, well."""
        process = self.processes[service]
        process.send_signal(signal.SIGTERM)
        status = process.wait(within)
        assert status == 0, f"{service} ended with {status} after SIGTERM:\n" + self.tail(f"logs/{service}.log")

    def wait_for_ready(self, service, within=60):
        def ready():
            try:
                return self.http.get(self.url(service) + "/readyz", timeout=5).status_code == 200
            except requests.RequestException:
                return False

        wait_for(ready, f"{service} to be ready", within=within)

    # Asking.

    def url(self, service):
        return f"http://127.0.0.1:{self.base_port + 1 + SERVICES.index(service)}"

    def secret(self, name):
        """What a file of the installation's directory says, such as `admin-key`."""
        if name not in self._secrets:
            self._secrets[name] = (self.directory / name).read_text().strip()
        return self._secrets[name]

    @property
    def admin_key(self):
        return self.secret("admin-key")

    @property
    def write_key(self):
        return self.secret("write-key")

    def call(self, method, service, path, key="admin", expect=None, **arguments):
        """A request to a service; with `expect` its JSON, once the status is the expected one."""
        headers = dict(arguments.pop("headers", None) or {})
        if key == "admin":
            key = self.admin_key
        if key:
            headers.setdefault("Authorization", f"Bearer {key}")
        arguments.setdefault("timeout", 60)
        arguments.setdefault("allow_redirects", False)
        response = self.http.request(method, self.url(service) + path, headers=headers, **arguments)
        if expect is None:
            return response
        expected = expect if isinstance(expect, tuple) else (expect,)
        assert response.status_code in expected, f"{method} {service} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def get(self, service, path, **arguments):
        return self.call("GET", service, path, expect=200, **arguments)

    def collect(self, kind, event, expect=200):
        """Sends one event, or a batch, with the write key."""
        response = self.http.post(
            f"{self.url('ingestion')}/v1/{kind}", json=event, auth=(self.write_key, ""), timeout=60)
        assert response.status_code == expect, f"{kind}: {response.status_code} {response.text}"
        return response.json()

    def items(self, service, path, **parameters):
        """Everything of a list, page by page."""
        found, cursor = [], None
        while True:
            page = self.get(service, path, params=parameters | ({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def sql(self, query, *parameters, database="martlet", url=None):
        """The rows of a query under the owner's role."""
        with psycopg.connect(url or self.postgres.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query, *parameters):
        return self.sql(query, *parameters)[0][0]

    # The command line.

    def martlet(self, *arguments, within=600, expect=0):
        """Runs a command of `martlet` on this installation and returns what it printed."""
        done = subprocess.run(
            [EXECUTABLES / "martlet", *map(str, arguments), "--directory", self.directory], cwd=REPOSITORY,
            env=self.command_environment(), capture_output=True, text=True, timeout=within)
        assert expect is None or done.returncode == expect, (
            f"martlet {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def command_environment(self):
        urls = {f"MARTLET_{service.upper()}_URL": self.url(service) for service in SERVICES}
        return self.environment() | urls

    def drain(self, within=120):
        """Waits until every stream and outbox is empty and nothing that is due waits."""
        self.martlet("drain", within=within)

    def now(self):
        """The installation's time."""
        if not self.rehearsal:
            return datetime.now(timezone.utc)
        return self.value("SELECT now FROM platform.clock")

    def advance(self, duration, within=600):
        """Lets time pass: `1d12h`, or a timedelta."""
        if isinstance(duration, timedelta):
            duration = f"{duration // timedelta(milliseconds=1)}ms"
        self.martlet("clock", "advance", duration, within=within)
        self.drain()

    def advance_to(self, instant):
        """Lets time pass until the instant."""
        left = instant - self.now()
        assert left > timedelta(0), f"it is {self.now()} already, {instant} is past"
        self.advance(left)

    # Looking when something went wrong.

    def tail(self, name, lines=15):
        try:
            return "\n".join((self.directory / name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def complaints(self, lines=12):
        """The warnings and errors in the services' logs."""
        found = []
        for log in sorted((self.directory / "logs").glob("*.log")):
            serious = [
                line for line in log.read_text(errors="replace").splitlines()
                if not re.search(r'"level":"(trace|debug|info|notice)"', line)
            ]
            found += [f"{log.name}: {line[:600]}" for line in serious[-lines:]]
        return "\n".join(found)

    def quarantined(self):
        """What any consumer could not take, as (schema, stream, error)."""
        return [
            (service, *row) for service in SERVICES
            for row in self.sql(f"SELECT consumer, stream, error, body FROM {service}.stream_quarantine LIMIT 20")
        ]


def end_with_parent():
    """Called in a new process: it gets SIGTERM when the tests are killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def remove_leftovers():
    """Removes what tests that were killed have left: their directories end with their process id."""
    for directory in INSTALLATIONS.glob("*-*"):
        pid = directory.name.rsplit("-", 1)[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            PostgresCluster(directory / "postgres").remove()
            shutil.rmtree(directory, ignore_errors=True)


def free_ports(count):
    """The first of `count` ports in a row that nobody listens on, below those the kernel gives to clients."""
    while True:
        first = random.randrange(20_000, 30_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
