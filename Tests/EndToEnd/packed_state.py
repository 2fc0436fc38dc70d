"""Reads segmentation's packed states: written apart from the service, so that the form is what it is said to be."""

import uuid


class Reader:
    """Numbers of seven bits a byte, the lowest first; those that may be below zero in zigzag order."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, count):
        part = self.data[self.place:self.place + count]
        assert len(part) == count, "a packed state ends too soon"
        self.place += count
        return part

    def byte(self):
        return self.take(1)[0]

    def number(self):
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def signed(self):
        number = self.number()
        return number >> 1 ^ -(number & 1)

    def text(self):
        return self.take(self.number()).decode()

    def message_id(self):
        length = self.number()
        return str(uuid.UUID(bytes=self.take(16))) if length == 0 else self.take(length - 1).decode()

    def position(self, offsets):
        """The shard and the offset of an event, or nothing; most are told from the first of the offsets."""
        first = self.number()
        if first == 0:
            return None
        if first & 1 == 0:
            return [(first >> 1) - 1, self.number()]
        shard, latest = next(iter(offsets.items()))
        zigzag = first >> 1
        return [int(shard), latest - (zigzag >> 1 ^ -(zigzag & 1))]

    def event(self, origin, offsets):
        """An event that is told apart from the others."""
        at = origin + self.signed()
        event = [at, self.text()]
        self.position(offsets)
        return event

    def tally(self, origin, offsets):
        """Events that are remembered together."""
        tally = {"events": self.signed(), "base": self.signed(), "values": self.signed()}
        tally["total"] = (self.signed() << 64) | int.from_bytes(self.take(8), "little")
        given = self.byte()
        for bit, name in [(1, "minimum"), (2, "maximum")]:
            if given & bit:
                tally[name] = self.signed()
        tally["first"], tally["last"] = self.event(origin, offsets), self.event(origin, offsets)
        if given & 4:
            tally["recent"] = [int.from_bytes(self.take(8), "little") for _ in range(self.number())]
        return tally

    def rest(self, origin):
        """What an occurrence has beside its event."""
        given, rest = self.byte(), {}
        if given & 1:
            rest["amount"] = self.signed()
        if given & 2:
            rest["group"] = self.text()
        if given & 4:
            rest["spans"] = [[origin + self.signed(), origin + self.signed()] for _ in range(self.number())]
        if given & 8:
            rest["number"] = self.signed()
        return rest


def unpacked(data):
    """A state as a document, with the offsets under `o`."""
    reader = Reader(data)
    assert reader.byte() == 2
    state = {"layout": int.from_bytes(reader.take(8), "little"), "revision": reader.signed()}
    origin = state["decidedAt"] = reader.signed()
    state["o"] = {str(reader.signed()): reader.signed() for _ in range(reader.number())}
    events = []
    for _ in range(reader.number()):
        at = origin - reader.signed()
        events.append([at, reader.message_id()])
        reader.position(state["o"])
    state["standings"], place = [], 0
    for _ in range(reader.number()):
        place += reader.number()
        given = reader.byte()
        state["standings"].append([place] + [
            origin + reader.signed() if given & 1 << bit else None for bit in range(3)])
    state["memories"], slot = [], 0
    for _ in range(reader.number()):
        slot += reader.number()
        given, memory = reader.byte(), {"slot": slot}
        if given & 3:
            memory["occurrences"] = []
            for _ in range(reader.number()):
                event = events[reader.number()]
                memory["occurrences"].append(event + ([reader.rest(origin)] if given & 2 else []))
        if given & 4:
            at = origin + reader.signed()
            memory["answer"] = [at, reader.text()]
            reader.position(state["o"])
            memory["answer"].append(reader.rest(origin))
        if given & 8:
            memory["trait"] = reader.text()
        if given & 16:
            memory["cut"] = reader.event(origin, state["o"])
        if given & 32:
            memory["tally"] = reader.tally(origin, state["o"])
        state["memories"].append(memory)
    assert reader.place == len(data), "a packed state goes on behind its end"
    return state
