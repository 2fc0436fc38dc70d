import Models

/// A state as it is kept: in few bytes, without what all profiles have in common.
///
/// First the form (2; in 1, which is still read, events have no positions), then the key of the layout, and then, as `PackedWriter` writes them: revision; the latest decided
/// instant, from which other instants are counted; the offsets; the events that anything is remembered of, each once; where
/// the profile stands in segments; and what the conditions remember, naming events by their places.
package struct PackedState: Hashable, Sendable {
    package let bytes: [UInt8]

    private static let form: UInt8 = 2
    private static let forms: ClosedRange<UInt8> = 1...2

    /// A state that was read.
    package init(bytes: [UInt8]) { self.bytes = bytes }

    /// Whether bytes are of this form.
    package static func isPacked(_ bytes: [UInt8]) -> Bool { bytes.first.map { forms.contains($0) } ?? false }

    /// The key of the layout that reading it takes.
    package var layoutKey: UInt64 {
        get throws(UnreadableState) {
            var reader = PackedReader(bytes)
            guard Self.forms.contains(try reader.byte()) else { throw UnreadableState() }
            return try reader.fixed()
        }
    }

    // MARK: Writing

    package init(_ state: ProfileState) {
        var writer = PackedWriter()
        writer.write(Self.form)
        writer.write(fixed: state.layout.key)
        writer.write(state.revision)
        let origin = state.decidedAt
        writer.write(origin.milliseconds)
        writer.write(count: state.applied.count)
        for (shard, offset) in state.applied {
            writer.write(Int64(shard.number))
            writer.write(offset)
        }
        var events = EventTable(near: Self.latest(state.applied))
        for held in state.memories {
            for occurrence in held.memory.occurrences { events.add(occurrence) }
        }
        events.write(to: &writer, from: origin)
        writer.write(count: state.standings.count)
        var last = 0
        for standing in state.standings {
            writer.write(count: Int(standing.place) - last)
            last = Int(standing.place)
            standing.write(to: &writer, from: origin)
        }
        writer.write(count: state.memories.count)
        last = 0
        for held in state.memories {
            writer.write(count: held.slot - last)
            last = held.slot
            held.memory.write(to: &writer, events, from: origin)
        }
        // A copy, as the list that it was written to has room for more, which an array made of it would have as well.
        let written = writer.bytes
        bytes = Array(unsafeUninitializedCapacity: written.count) { buffer, count in
            count = buffer.initialize(fromContentsOf: written)
        }
    }

    /// The latest fact of the shard that positions are told from.
    private static func latest(_ applied: [(shard: Shard, offset: Int64)]) -> TimelinePosition? {
        applied.first.map { TimelinePosition(shard: $0.shard, offset: $0.offset) }
    }

    // MARK: Reading

    /// The state, by the layout whose key it has.
    package func state(_ layout: StateLayout) throws(UnreadableState) -> ProfileState {
        var reader = PackedReader(bytes)
        let form = try reader.byte()
        guard Self.forms.contains(form), try reader.fixed() == layout.key else { throw UnreadableState() }
        let revision = try reader.signed()
        let origin = Instant(milliseconds: try reader.signed())
        var applied: [(shard: Shard, offset: Int64)] = []
        for _ in 0..<(try reader.count()) {
            guard let number = Int16(exactly: try reader.signed()), let shard = Shard(number: number),
                applied.last.map({ $0.shard < shard }) ?? true
            else { throw UnreadableState() }
            applied.append((shard, try reader.signed()))
        }
        let events = try EventTable(
            from: &reader, origin, near: Self.latest(applied), hasPositions: form > 1)
        var standings: [Standing] = []
        var last = 0
        for number in 0..<(try reader.count()) {
            let step = try reader.index()
            guard number == 0 || step > 0, last + step < layout.segments.count else {
                throw UnreadableState()
            }
            last += step
            standings.append(try Standing(place: last, from: &reader, origin))
        }
        var memories: [ProfileState.HeldMemory] = []
        last = 0
        for number in 0..<(try reader.count()) {
            let step = try reader.index()
            guard number == 0 || step > 0, last + step < layout.conditions.count else {
                throw UnreadableState()
            }
            last += step
            memories.append(
                ProfileState.HeldMemory(
                    slot: last, memory: try Memory(from: &reader, events, origin)))
        }
        guard reader.isAtEnd else { throw UnreadableState() }
        return ProfileState(
            revision: revision, decidedAt: origin, applied: applied, layout: layout, standings: standings,
            memories: memories)
    }
}

/// The events that conditions remember, each once: its instant, its message, and where it stands in the timeline.
private struct EventTable {
    private(set) var events: [(at: Instant, messageID: String, position: TimelinePosition?)] = []
    /// From where positions are told.
    let latest: TimelinePosition?
    let hasPositions: Bool
    /// Where each is, once there are many: few are found sooner by looking through them.
    private var places: [Key: Int] = [:]
    private static let few = 24

    private struct Key: Hashable {
        let at: Instant
        let messageID: String
    }

    init(near latest: TimelinePosition?) {
        self.latest = latest
        hasPositions = true
    }

    mutating func add(_ occurrence: Occurrence) {
        guard find(occurrence) == nil else { return }
        events.append((occurrence.at, occurrence.messageID, occurrence.position))
        if events.count == Self.few {
            for (place, event) in events.enumerated() {
                places[Key(at: event.at, messageID: event.messageID)] = place
            }
        } else if events.count > Self.few {
            places[Key(at: occurrence.at, messageID: occurrence.messageID)] = events.count - 1
        }
    }

    func place(of occurrence: Occurrence) -> Int { find(occurrence) ?? 0 }

    private func find(_ occurrence: Occurrence) -> Int? {
        events.count < Self.few
            ? events.firstIndex { $0.at == occurrence.at && $0.messageID == occurrence.messageID }
            : places[Key(at: occurrence.at, messageID: occurrence.messageID)]
    }

    func write(to writer: inout PackedWriter, from origin: Instant) {
        writer.write(count: events.count)
        for (at, messageID, position) in events {
            writer.write(origin.milliseconds - at.milliseconds)
            writer.write(messageID: messageID)
            writer.write(position, near: latest)
        }
    }

    init(
        from reader: inout PackedReader, _ origin: Instant, near latest: TimelinePosition?,
        hasPositions: Bool
    ) throws(UnreadableState) {
        self.latest = latest
        self.hasPositions = hasPositions
        for _ in 0..<(try reader.count()) {
            let at = Instant(milliseconds: origin.milliseconds &- (try reader.signed()))
            let messageID = try reader.messageID()
            events.append((at, messageID, hasPositions ? try reader.position(near: latest) : nil))
        }
    }
}

extension PackedWriter {
    /// 0 for none. Of the shard that most are of, where the state names the latest offset, how far it is before that, as an
    /// odd number; else twice the shard and one more, and then the offset.
    fileprivate mutating func write(_ position: TimelinePosition?, near latest: TimelinePosition?) {
        guard let position else { return write(UInt64(0)) }
        guard let latest, latest.shard == position.shard else {
            write(UInt64(position.shard.number + 1) << 1)
            return write(UInt64(bitPattern: position.offset))
        }
        let back = latest.offset - position.offset
        write(UInt64(bitPattern: (back << 1) ^ (back >> 63)) << 1 | 1)
    }

    /// Most are UUIDs, which take 17 bytes; others take their text, and the first byte is how long that is and one more.
    fileprivate mutating func write(messageID: String) {
        if let bytes = UUIDText.bytes(messageID) {
            write(UInt8(0))
            for byte in bytes { write(byte) }
        } else {
            var text = messageID
            text.withUTF8 { utf8 in
                write(count: utf8.count + 1)
                for byte in utf8 { write(byte) }
            }
        }
    }
}

extension PackedReader {
    fileprivate mutating func position(
        near latest: TimelinePosition?
    ) throws(UnreadableState) -> TimelinePosition? {
        let first = try number()
        guard first > 0 else { return nil }
        if first & 1 == 1 {
            guard let latest else { throw UnreadableState() }
            let zigzag = first >> 1
            let back = Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
            return TimelinePosition(shard: latest.shard, offset: latest.offset &- back)
        }
        guard let shard = Shard(number: first >> 1 - 1), let offset = Int64(exactly: try number()) else {
            throw UnreadableState()
        }
        return TimelinePosition(shard: shard, offset: offset)
    }

    fileprivate mutating func messageID() throws(UnreadableState) -> String {
        let first = try count()
        var bytes: [UInt8] = []
        for _ in 0..<(first == 0 ? 16 : first - 1) { bytes.append(try byte()) }
        return first == 0 ? UUIDText.text(bytes) : String(decoding: bytes, as: UTF8.self)
    }
}

/// The text of a UUID in lower case with hyphens, as 16 bytes.
private enum UUIDText {
    private static let hyphens = [8, 13, 18, 23]
    private static let digits = Array("0123456789abcdef".utf8)

    /// Nil if the text is anything else, so that it is the same again when it is read.
    static func bytes(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 36 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        var half: UInt8?
        for (place, byte) in text.utf8.enumerated() {
            if hyphens.contains(place) {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let high = half {
                bytes.append(high << 4 | digit)
                half = nil
            } else {
                half = digit
            }
        }
        return bytes
    }

    static func text(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for byte in bytes {
            if hyphens.contains(text.count) { text.append(UInt8(ascii: "-")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 0xF)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Standing {
    fileprivate func write(to writer: inout PackedWriter, from origin: Instant) {
        let instants = [memberSince, deadline, decidesFrom == .distantPast ? nil : decidesFrom]
        var given: UInt8 = 0
        for (place, instant) in instants.enumerated() where instant != nil { given |= 1 << UInt8(place) }
        writer.write(given)
        for instant in instants {
            if let instant { writer.write(instant.milliseconds - origin.milliseconds) }
        }
    }

    fileprivate init(
        place: Int, from reader: inout PackedReader, _ origin: Instant
    ) throws(UnreadableState) {
        self.init(place: place)
        let given = try reader.byte()
        guard given != 0, given < 8 else { throw UnreadableState() }
        if given & 1 != 0 { memberSince = try reader.instant(from: origin) }
        if given & 2 != 0 { deadline = try reader.instant(from: origin) }
        if given & 4 != 0 { decidesFrom = try reader.instant(from: origin) }
    }
}

extension PackedReader {
    fileprivate mutating func instant(from origin: Instant) throws(UnreadableState) -> Instant {
        Instant(milliseconds: origin.milliseconds &+ (try signed()))
    }
}

extension Memory {
    /// A byte says what there is: occurrences with nothing but their events (1) or with more (2), an answer (4), a trait (8),
    /// the latest event that was forgotten (16), events that are remembered together (32).
    fileprivate func write(to writer: inout PackedWriter, _ events: EventTable, from origin: Instant) {
        let isPlain = occurrences.allSatisfy(\.isPlain)
        var given: UInt8 = occurrences.isEmpty ? 0 : isPlain ? 1 : 2
        if answer != nil { given |= 4 }
        if trait != nil { given |= 8 }
        if cut != nil { given |= 16 }
        if tally != nil { given |= 32 }
        writer.write(given)
        if !occurrences.isEmpty {
            writer.write(count: occurrences.count)
            for occurrence in occurrences {
                writer.write(count: events.place(of: occurrence))
                if !isPlain { occurrence.writeRest(to: &writer, from: origin) }
            }
        }
        if let answer {
            writer.write(answer.at.milliseconds - origin.milliseconds)
            writer.write(answer.messageID)
            writer.write(answer.position, near: events.latest)
            answer.writeRest(to: &writer, from: origin)
        }
        if trait != nil {
            var own = Memory()
            own.trait = trait
            own.source = source
            writer.write(own.json.compact)
        }
        cut?.writePlace(to: &writer, events, from: origin)
        tally?.write(to: &writer, events, from: origin)
    }

    fileprivate init(
        from reader: inout PackedReader, _ events: EventTable, _ origin: Instant
    ) throws(UnreadableState) {
        self.init()
        let given = try reader.byte()
        guard given != 0, given < 64, given & 3 != 3 else { throw UnreadableState() }
        if given & 3 != 0 {
            let count = try reader.count()
            occurrences.reserveCapacity(count)
            for _ in 0..<count {
                let place = try reader.index()
                guard place < events.events.count else { throw UnreadableState() }
                let (at, messageID, position) = events.events[place]
                occurrences.append(
                    given & 1 != 0
                        ? Occurrence(at: at, messageID: messageID, position: position)
                        : try Occurrence(
                            at: at, messageID: messageID, position: position, rest: &reader, origin))
            }
        }
        if given & 4 != 0 {
            let at = try reader.instant(from: origin)
            let messageID = try reader.text()
            let position = events.hasPositions ? try reader.position(near: events.latest) : nil
            answer = try Occurrence(
                at: at, messageID: messageID, position: position, rest: &reader, origin)
        }
        if given & 8 != 0 {
            guard let json = try? JSONParser.parse(try reader.text()),
                let own = try? Memory(json: json, at: "trait"), let held = own.trait
            else { throw UnreadableState() }
            trait = held
            source = own.source
        }
        if given & 16 != 0 { cut = try Occurrence(placeFrom: &reader, events, origin) }
        if given & 32 != 0 { tally = try Tally(from: &reader, events, origin) }
    }
}

extension Tally {
    /// How many, of the second kind, and of how many values; the total as its higher and its lower half; a byte that says
    /// whether there is a least (1) and a greatest amount (2), and these; the first and the last; the hashes of the latest,
    /// where the byte says that there are some (4).
    fileprivate func write(to writer: inout PackedWriter, _ events: EventTable, from origin: Instant) {
        writer.write(Int64(self.events))
        writer.write(Int64(base))
        writer.write(Int64(values))
        writer.write(Int64(truncatingIfNeeded: total >> 64))
        writer.write(fixed: UInt64(truncatingIfNeeded: total))
        writer.write(
            UInt8((minimum == nil ? 0 : 1) | (maximum == nil ? 0 : 2) | (recent.isEmpty ? 0 : 4)))
        if let minimum { writer.write(minimum.millionths) }
        if let maximum { writer.write(maximum.millionths) }
        first.writePlace(to: &writer, events, from: origin)
        last.writePlace(to: &writer, events, from: origin)
        guard !recent.isEmpty else { return }
        writer.write(count: recent.count)
        for hash in recent { writer.write(fixed: hash) }
    }

    fileprivate init(
        from reader: inout PackedReader, _ events: EventTable, _ origin: Instant
    ) throws(UnreadableState) {
        let (count, base, values) = (try reader.signed(), try reader.signed(), try reader.signed())
        let high = Int128(try reader.signed())
        let total = high << 64 | Int128(try reader.fixed())
        let given = try reader.byte()
        guard count > 0, given < 8 else { throw UnreadableState() }
        let minimum = given & 1 != 0 ? Amount(millionths: try reader.signed()) : nil
        let maximum = given & 2 != 0 ? Amount(millionths: try reader.signed()) : nil
        let first = try Occurrence(placeFrom: &reader, events, origin)
        let last = try Occurrence(placeFrom: &reader, events, origin)
        var recent: [UInt64] = []
        if given & 4 != 0 {
            for _ in 0..<(try reader.count()) { recent.append(try reader.fixed()) }
        }
        self.init(
            events: Int(count), base: Int(base), values: Int(values), total: total, minimum: minimum,
            maximum: maximum, first: first, last: last, recent: recent)
    }
}

extension Occurrence {
    /// The event and nothing else, for one that is not in the table.
    fileprivate func writePlace(to writer: inout PackedWriter, _ events: EventTable, from origin: Instant) {
        writer.write(at.milliseconds - origin.milliseconds)
        writer.write(messageID)
        writer.write(position, near: events.latest)
    }

    fileprivate init(
        placeFrom reader: inout PackedReader, _ events: EventTable, _ origin: Instant
    ) throws(UnreadableState) {
        let at = try reader.instant(from: origin)
        let messageID = try reader.text()
        self.init(
            at: at, messageID: messageID,
            position: events.hasPositions ? try reader.position(near: events.latest) : nil)
    }
}

extension Occurrence {
    fileprivate var isPlain: Bool { amount == nil && group == nil && spans == nil && number == nil }

    /// A byte says what there is: an amount (1), a group (2), spans (4), a number (8).
    fileprivate func writeRest(to writer: inout PackedWriter, from origin: Instant) {
        var given: UInt8 = 0
        if amount != nil { given |= 1 }
        if group != nil { given |= 2 }
        if spans != nil { given |= 4 }
        if number != nil { given |= 8 }
        writer.write(given)
        if let amount { writer.write(amount.millionths) }
        if let group { writer.write(group) }
        if let spans {
            writer.write(count: spans.stretches.count)
            for stretch in spans.stretches {
                writer.write(stretch.lowerBound.milliseconds - origin.milliseconds)
                writer.write(stretch.upperBound.milliseconds - origin.milliseconds)
            }
        }
        if let number { writer.write(Int64(number)) }
    }

    fileprivate init(
        at: Instant, messageID: String, position: TimelinePosition?, rest reader: inout PackedReader,
        _ origin: Instant
    ) throws(UnreadableState) {
        let given = try reader.byte()
        guard given < 16 else { throw UnreadableState() }
        var (amount, group): (Amount?, String?)
        var (spans, number): (Spans?, Int?)
        if given & 1 != 0 { amount = Amount(millionths: try reader.signed()) }
        if given & 2 != 0 { group = try reader.text() }
        if given & 4 != 0 {
            var stretches: [Range<Instant>] = []
            for _ in 0..<(try reader.count()) {
                let (low, high) = (try reader.instant(from: origin), try reader.instant(from: origin))
                guard low < high else { throw UnreadableState() }
                stretches.append(low..<high)
            }
            spans = Spans(stretches: stretches)
        }
        if given & 8 != 0 { number = Int(try reader.signed()) }
        self.init(
            at: at, messageID: messageID, position: position, amount: amount, group: group, spans: spans,
            number: number)
    }
}
