/// What became of the rows of a file, and of the events they came to:
/// `rows = imported + skipped + refused`, and `received = accepted + duplicate + quarantined + refused`.
package struct ImportCounts: Hashable, Sendable {
    /// Rows that became events, whatever the verdicts on those.
    package var rowsImported = 0
    package var rowsRefused = 0
    /// Groups and rows that the mapping skips, by reason.
    package var skipped: [String: Skipped] = [:]
    package var groups = 0
    /// Events with a verdict.
    package var accepted = 0
    package var duplicate = 0
    package var quarantined = 0
    package var refused = 0
    /// Mistakes that are listed: rows that could not be read or mapped, events that were not accepted.
    package var problems = 0

    package struct Skipped: Hashable, Sendable {
        package var groups: Int
        package var rows: Int

        package init(groups: Int, rows: Int) { (self.groups, self.rows) = (groups, rows) }
    }

    package init() {}

    package var rowsSkipped: Int { skipped.values.reduce(0) { $0 + $1.rows } }
    package var rows: Int { rowsImported + rowsSkipped + rowsRefused }
    package var received: Int { accepted + duplicate + quarantined + refused }

    package mutating func skip(_ reason: String, groups: Int = 1, rows: Int) {
        skipped[reason, default: Skipped(groups: 0, rows: 0)].groups += groups
        skipped[reason, default: Skipped(groups: 0, rows: 0)].rows += rows
    }

    package mutating func count(_ verdict: Verdict) {
        switch verdict {
        case .accepted: accepted += 1
        case .duplicate: duplicate += 1
        case .quarantined:
            quarantined += 1
            problems += 1
        case .refused:
            refused += 1
            problems += 1
        }
    }

    package mutating func add(_ other: ImportCounts) {
        rowsImported += other.rowsImported
        rowsRefused += other.rowsRefused
        for (reason, each) in other.skipped { skip(reason, groups: each.groups, rows: each.rows) }
        groups += other.groups
        accepted += other.accepted
        duplicate += other.duplicate
        quarantined += other.quarantined
        refused += other.refused
        problems += other.problems
    }
}

/// Some groups of a file that are taken in together.
package struct ImportBatch: Hashable, Sendable {
    /// An event, and the line that its first row starts on.
    package struct Item: Hashable, Sendable {
        package var line: Int
        package var bytes: [UInt8]

        package init(line: Int, bytes: [UInt8]) { (self.line, self.bytes) = (line, bytes) }
    }

    /// Why some rows became no event, and how many items of the batch come before them.
    package struct Refused: Hashable, Sendable {
        package var refusal: RowRefusal
        package var itemsBefore: Int
    }

    /// The number of its last group in the file.
    package var lastGroup: Int
    package var items: [Item] = []
    /// What the groups came to before anybody judged their events.
    package var counts = ImportCounts()
    package var refusals: [Refused] = []
}

/// Cuts the groups of a file into batches.
package struct BatchCutter: Sendable {
    /// How much goes together: locks are held while a batch is written.
    package struct Limits: Hashable, Sendable {
        package var events = 500
        package var bytes = 1 << 20
        /// Groups that come to nothing are counted in batches as well.
        package var groups = 5_000

        package init(events: Int = 500) { self.events = events }
    }

    private var reading: ImportReading
    private let skipGroups: Int
    private let limits: Limits
    private var batch: ImportBatch
    private var bytes = 0
    private var isFinished = false

    /// `skipGroups` were taken in before.
    package init(_ reading: ImportReading, skipGroups: Int = 0, limits: Limits = Limits()) {
        self.reading = reading
        self.skipGroups = skipGroups
        self.limits = limits
        batch = ImportBatch(lastGroup: skipGroups)
    }

    package mutating func append(_ bytes: [UInt8]) { reading.append(bytes) }

    package mutating func finish() {
        isFinished = true
        reading.finish()
    }

    /// The next batch; nil where more bytes are needed, or the file has ended.
    package mutating func next() throws(UnreadableFile) -> ImportBatch? {
        while let group = try reading.next(passing: reading.groups < skipGroups) {
            guard reading.groups > skipGroups else { continue }
            add(group)
            if batch.items.count >= limits.events || bytes >= limits.bytes
                || batch.counts.groups >= limits.groups
            {
                return take()
            }
        }
        return isFinished && batch.counts.groups > 0 ? take() : nil
    }

    private mutating func add(_ group: ImportGroup) {
        batch.lastGroup = reading.groups
        batch.counts.groups += 1
        switch group.outcome {
        case .events(let events):
            batch.counts.rowsImported += group.rows
            for event in events {
                bytes += event.count
                batch.items.append(ImportBatch.Item(line: group.line, bytes: event))
            }
        case .skipped(let reason): batch.counts.skip(reason, rows: group.rows)
        case .refused(let refusals):
            batch.counts.rowsRefused += group.rows
            batch.counts.problems += refusals.count
            let before = batch.items.count
            batch.refusals += refusals.map { ImportBatch.Refused(refusal: $0, itemsBefore: before) }
        }
    }

    private mutating func take() -> ImportBatch {
        defer {
            batch = ImportBatch(lastGroup: batch.lastGroup)
            bytes = 0
        }
        return batch
    }
}
