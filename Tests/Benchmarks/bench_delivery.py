"""How long from an event to its mail: a journey sends at once on each of 200 events a second.

    .martlet/venv/bin/python Tests/Benchmarks/bench_delivery.py [SECONDS [EVENTS_PER_SECOND]]

The clock starts when the request is sent and stops when the SMTP server has the mail and answers 250.
Prints a table for the README. Run by `make bench`, on a release build.
"""

import multiprocessing
import sys
import threading
import time

import requests

from ground import REPEATS, Installation, durable_commits, machine, memory, memory_table, middle, wait_for

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
RATE = int(sys.argv[2]) if len(sys.argv) > 2 else 200
WARM_UP = 5
SENDERS = 16

TEMPLATE = {
    "subject": "Order received",
    "html": "<html><body><p>Hello {{ profile.traits.firstName }}, thank you for your order.</p>"
            "<p><a href=\"https://shop.example/orders\">Your orders</a></p></body></html>",
    "text": "Hello {{ profile.traits.firstName }}, thank you for your order.",
}
JOURNEY = """\
name: A receipt for each order
status: active
entry:
  event: Bench Order
  reentry: always
steps:
  - send:
      template: bench-receipt
      channel: email
      purpose: transactional
"""


def smtp_server(connection):
    """A process of its own, so that measuring does not slow what is measured down."""
    from mailbox_server import Mailbox

    class Stopwatch(Mailbox):
        async def handle_DATA(self, server, session, envelope):
            arrived.append((envelope.rcpt_tos[0], time.monotonic()))
            return "250 OK"

    arrived = []
    server = Stopwatch().start()
    connection.send(server.url)
    while connection.recv() == "how many":
        connection.send(len(arrived))
    connection.send(arrived)
    server.stop()


def main():
    report([run(number) for number in range(REPEATS)])


def run(number):
    """One installation, one SMTP server, and the figures."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=smtp_server, args=(theirs,), daemon=True)
    server.start()
    installation = Installation(
        f"bench-delivery-{number}", environment={"MARTLET_SMTP_URL": ours.recv()}, rehearsal=False, examples=False)
    try:
        installation.start()
        figures = measure(installation, ours)
    finally:
        installation.remove()
        server.terminate()
    print(f"run {number + 1} of {REPEATS}: p50 {figures['p50']:.0f} ms", file=sys.stderr)
    return figures


def measure(installation, smtp):
    installation.call("PUT", "delivery", "/v1/templates/bench-receipt", json=TEMPLATE, expect=(200, 201))
    installation.call(
        "PUT", "journeys", "/v1/journeys/bench-receipt", data=JOURNEY, expect=(200, 201),
        headers={"Content-Type": "application/yaml"})
    count = (SECONDS + WARM_UP) * RATE
    for first in range(0, count, 200):
        installation.collect("batch", {"batch": [
            {"type": "identify", "userId": f"bench-{number}",
             "traits": {"email": f"{number}@bench.example", "firstName": "Ada"}}
            for number in range(first, min(first + 200, count))]})
    installation.drain(within=600)
    commits = durable_commits(installation)

    sent = {}
    threads = [threading.Thread(target=send, args=(installation, offset, count, sent)) for offset in range(SENDERS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started

    def all_there():
        smtp.send("how many")
        return smtp.recv() >= count

    wait_for(all_there, f"{count} mails", within=300, every=0.2)
    held = memory(installation)
    smtp.send("that is all")
    arrived = smtp.recv()
    latencies = sorted(
        (at - sent[recipient]) * 1000 for recipient, at in arrived
        if int(recipient.split("@")[0]) >= WARM_UP * RATE)
    return {
        "count": count, "arrived": len(arrived),
        "doubled": len(arrived) - len({recipient for recipient, _ in arrived}),
        "rate": count / took, "memory": held, "commit": at_share(commits, 0.50),
        "p50": at_share(latencies, 0.50), "p90": at_share(latencies, 0.90), "p99": at_share(latencies, 0.99),
        "slowest": latencies[-1],
    }


def report(runs):
    def all_of(name, form="{:,.0f}"):
        return middle([run[name] for run in runs], form)

    print(f"""
### From an event to the SMTP server's `250`

{machine()}. {RATE} events/s for {SECONDS} s, each the start of a journey that sends at once. Command: `make bench`;
the median of {len(runs)} runs (least–most).

| | |
|---|---|
| events sent, mails received, doubled | {runs[-1]["count"]:,}, {all_of("arrived")}, {all_of("doubled")} |
| rate kept | {all_of("rate")} events/s |
| p50 | {all_of("p50")} ms |
| p90 | {all_of("p90")} ms |
| p99 | {all_of("p99")} ms |
| slowest | {all_of("slowest")} ms |
| one durable commit on this machine, p50 (a mail comes after five, one after the other) | {all_of("commit", "{:.2f}")} ms |
| p50 in durable commits | {middle([run["p50"] / run["commit"] for run in runs])} |

{memory_table([run["memory"] for run in runs])}
""")


def send(installation, offset, count, sent):
    """Every sixteenth event, each at its own instant, whether or not the one before was answered in time."""
    session = requests.Session()
    session.trust_env = False
    url = installation.url("ingestion") + "/v1/track"
    started = time.monotonic()
    for number in range(offset, count, SENDERS):
        time.sleep(max(0.0, started + number / RATE - time.monotonic()))
        sent[f"{number}@bench.example"] = time.monotonic()
        answer = session.post(url, auth=(installation.write_key, ""), timeout=30, json={
            "userId": f"bench-{number}", "event": "Bench Order", "properties": {"order_id": str(number)}})
        assert answer.status_code == 200, answer.text


def at_share(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


if __name__ == "__main__":
    main()
