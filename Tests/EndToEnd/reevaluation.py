"""Decides changes of memberships again from the evidence that they carry: from the events that it cites by their place
in the timeline, and from the summaries of those that it does not list. Plain code over the documents, none of Martlet's.
"""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def milliseconds(text):
    """An RFC 3339 time."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(time.timestamp() * 1000)


def length(text):
    """A length of time such as `1d12h`."""
    total, number, unit = 0, "", ""
    for sign in text + "0":
        if sign.isdigit() and unit:
            total += int(number) * UNITS[unit]
            number, unit = "", ""
        if sign.isdigit():
            number += sign
        else:
            unit += sign
    return total


class Reevaluation:
    """`events` are the events of the timeline by shard and offset."""

    def __init__(self, events):
        self.events = events
        self.summed = 0

    def check(self, change):
        """Fails where a change is not what its evidence comes to."""
        evidence, at = change["evidence"], milliseconds(change["at"])
        entered = change["change"] == "entered"
        assert self.holds(evidence["conditions"], at) == entered, change
        if "before" in evidence:
            assert self.holds(evidence["before"], at - 1) != entered, change

    def holds(self, part, at):
        kind = part["condition"]
        if kind == "all":
            truth = all([self.holds(each, at) for each in part["parts"]])
        elif kind == "any":
            truth = any([self.holds(each, at) for each in part["parts"]])
        elif kind == "not":
            truth = not self.holds(part["parts"][0], at)
        else:
            (kind, rule), = kind.items()
            truth = getattr(self, kind)(rule, self.cited(part), part.get("unlisted", {}), at)
        assert truth == part["holds"], part
        return truth

    def cited(self, part):
        """(time, event) of each event that is listed, once."""
        found = {}
        for entry in part.get("events", []):
            event = self.events[entry["shard"], entry["offset"]]
            assert event["messageId"] == entry["messageId"], entry
            found[entry["shard"], entry["offset"]] = (milliseconds(entry["timestamp"]), event)
        if "unlisted" in part:
            self.summed += 1
            assert part["unlisted"]["count"] + len(part["events"]) == part["eventCount"]
        return sorted(found.values(), key=lambda pair: pair[0])

    def inside(self, rule, time, at):
        if time > at:
            return False
        window = rule.get("within")
        if window is None:
            return "since" not in rule or time >= milliseconds(rule["since"])
        if isinstance(window, str):
            return time > at - length(window)
        zone = ZoneInfo(window["zone"])
        days = [datetime.fromtimestamp(each / 1000, zone).date() for each in (time, at)]
        return (days[1] - days[0]).days < window["days"]

    def meant(self, rule, cited, at, window=None):
        names = rule["event"] if isinstance(rule["event"], list) else [rule["event"]]
        assert "where" not in rule
        return [event for time, event in cited
                if event["event"] in names and self.inside(window or rule, time, at)]

    @staticmethod
    def passes(rule, value):
        if "between" in rule:
            low, high = (Fraction(str(each)) for each in rule["between"])
            return low <= value <= high
        tests = {
            "atLeast": lambda bound: value >= bound, "atMost": lambda bound: value <= bound,
            "greaterThan": lambda bound: value > bound, "lessThan": lambda bound: value < bound,
            "exactly": lambda bound: value == bound}
        return all(test(Fraction(str(rule[name]))) for name, test in tests.items() if name in rule)

    def values(self, rule, events):
        return [Fraction(Decimal(event["properties"][rule["property"]])) for event in events]

    def count(self, rule, cited, unlisted, at):
        number = len(self.meant(rule, cited, at)) + unlisted.get("count", 0)
        return self.passes(rule if rule.keys() & {"atLeast", "atMost", "exactly", "between"} else {"atLeast": 1}, number)

    def absent(self, rule, cited, unlisted, at):
        return not self.meant(rule, cited, at) and not unlisted

    def sum(self, rule, cited, unlisted, at):
        total = sum(self.values(rule, self.meant(rule, cited, at)), Fraction(0))
        return self.passes(rule, total + Fraction(unlisted.get("total", "0")))

    def average(self, rule, cited, unlisted, at):
        values = self.values(rule, self.meant(rule, cited, at))
        count = len(values) + unlisted.get("values", 0)
        total = sum(values, Fraction(0)) + Fraction(unlisted.get("total", "0"))
        return count > 0 and self.passes(rule, total / count)

    def ratio(self, rule, cited, unlisted, at):
        of, to = (len(self.meant(rule[side], cited, at, window=rule)) + unlisted.get(side, 0) for side in ("of", "to"))
        return to >= rule.get("toAtLeast", 1) and to > 0 and self.passes(rule, Fraction(of, to))

    def sequence(self, rule, cited, unlisted, at):
        """Of two steps, the second within a time after the first."""
        first, second = rule["steps"]
        pairs = [(time, later) for time, event in cited for later, other in cited
                 if event["event"] == first["event"] and other["event"] == second["event"]
                 and self.inside(rule, time, at) and time < later < time + length(second["within"])]
        return bool(pairs)
