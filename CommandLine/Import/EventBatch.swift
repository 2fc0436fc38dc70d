import Models

/// An event as it travels.
struct EncodedEvent: Sendable {
    let messageID: String
    let json: [UInt8]

    init(_ event: JSON) {
        messageID = event["messageId"]?.string ?? "an event without id"
        var bytes: [UInt8] = []
        event.write(into: &bytes)
        json = bytes
    }

    /// The body of a request with these events.
    static func body(_ events: ArraySlice<EncodedEvent>) -> [UInt8] {
        var bytes = Array("{\"batch\":[".utf8)
        for (index, event) in events.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += event.json
        }
        return bytes + Array("]}".utf8)
    }
}

/// Some events that travel in one request, and what else the groups up to here came to.
struct EventBatch: Sendable {
    /// The number of the last group in it.
    let lastGroup: Int
    let events: [EncodedEvent]
    /// What became of the groups of this batch before anything was sent: rows, skipped, refused.
    let counts: ImportCounts
}

/// Cuts the groups of a file into batches.
struct BatchCutter {
    /// At most so many events travel together.
    let maxEvents: Int
    /// And about so many bytes: far below what ingestion takes.
    static let maxBytes = 256 << 10

    private var grouping: RowGrouping
    private let builder: EventBuilder
    private var groupsSeen = 0
    private let skipGroups: Int

    init(grouping: RowGrouping, builder: EventBuilder, skipGroups: Int, maxEvents: Int) {
        self.grouping = grouping
        self.builder = builder
        self.skipGroups = skipGroups
        self.maxEvents = maxEvents
    }

    /// The next batch; nil at the end of the file.
    mutating func next() throws -> EventBatch? {
        var events: [EncodedEvent] = []
        var bytes = 0
        var counts = ImportCounts()
        while events.count < maxEvents, bytes < Self.maxBytes, let item = try grouping.next() {
            groupsSeen += 1
            // Read in an earlier run: counted there.
            if groupsSeen <= skipGroups { continue }
            switch item {
            case .refused(let refusal):
                counts.rows += 1
                counts.refuse("line \(refusal.line)", refusal.reason)
            case .group(let group):
                counts.groups += 1
                counts.rows += group.rows.count + group.refusals.count
                switch builder.outcome(of: group) {
                case .events(let made):
                    for event in made {
                        let encoded = EncodedEvent(event)
                        bytes += encoded.json.count
                        events.append(encoded)
                    }
                case .skipped(let reason, let rows):
                    counts.skip(reason, rows: rows)
                case .refused(let refusals):
                    for refusal in refusals { counts.refuse("line \(refusal.line)", refusal.reason) }
                }
            }
            if counts.groups + counts.refused >= 5000 { break }
        }
        guard !events.isEmpty || counts != ImportCounts() else { return nil }
        counts.events = events.count
        return EventBatch(lastGroup: groupsSeen, events: events, counts: counts)
    }
}
