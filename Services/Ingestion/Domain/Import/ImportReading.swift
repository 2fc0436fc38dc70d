import Models

/// How a file is to be read.
package struct ImportDefinition: Sendable {
    package var format: ImportFormat
    /// Nil where each line is a call of the tracking API as it is, which only NDJSON can be.
    package var mapping: ImportMapping?

    package init(format: ImportFormat, mapping: ImportMapping?) {
        self.format = format
        self.mapping = mapping
    }

    /// Whether events are known only after a first pass over the whole file.
    package var isGrouped: Bool { mapping?.groupBy != nil }
}

/// Some rows of a file that belong together, and what they come to.
package struct ImportGroup: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        /// Items of the tracking API.
        case events([[UInt8]])
        case skipped(reason: String)
        case refused([RowRefusal])
    }

    /// The line that the first of its rows starts on.
    package var line: Int
    /// The place of its first row among all rows, from 1.
    package var firstRow: Int
    package var rows: Int
    package var outcome: Outcome
}

/// Reads a file into groups, out of bytes as they come. The same file, mapping and survey always give the same groups in
/// the same order, which is what a checkpoint counts by.
package struct ImportReading: Sendable {
    // One of the two is used. They are changed where they are, because a copy would cost as much as they hold.
    private var calls = NDJSONReader()
    private var callsRead = 0
    private var rows: (grouping: RowGrouping, builder: RowEventBuilder)?
    /// How many groups were given out, those that were passed over included.
    package private(set) var groups = 0

    /// `shift` is added to every time that the mapping reads.
    package init(
        _ definition: ImportDefinition, survey: FileSurvey?, shift: Duration = .zero,
        limits: ImportLimits = ImportLimits()
    ) {
        guard let mapping = definition.mapping else {
            calls = NDJSONReader(maxLineBytes: limits.rowBytes)
            return
        }
        let reader = RowReader(mapping: mapping, format: definition.format, limits: limits)
        rows = (
            RowGrouping(reader: reader, survey: survey, limits: limits),
            RowEventBuilder(mapping: mapping, shift: shift, limits: limits)
        )
    }

    package mutating func append(_ bytes: [UInt8]) {
        if rows == nil { calls.append(bytes) } else { rows?.grouping.append(bytes) }
    }

    package mutating func finish() {
        if rows == nil { calls.finish() } else { rows?.grouping.finish() }
    }

    /// The next group; nil where more bytes are needed, or the file has ended. Of a group that is `passing` nothing but
    /// its place is worked out.
    package mutating func next(passing: Bool = false) throws(UnreadableFile) -> ImportGroup? {
        guard rows == nil else {
            guard let item = try rows?.grouping.next(), let builder = rows?.builder else { return nil }
            groups += 1
            return Self.group(item, builder, passing: passing)
        }
        guard let line = calls.next() else { return nil }
        groups += 1
        callsRead += 1
        let outcome: ImportGroup.Outcome =
            line.bytes.map { .events([$0]) }
            ?? .refused([RowRefusal(line: line.number, reason: "the line is too long to be read")])
        return ImportGroup(line: line.number, firstRow: callsRead, rows: 1, outcome: outcome)
    }

    private static func group(
        _ item: RowGrouping.Item, _ builder: RowEventBuilder, passing: Bool
    ) -> ImportGroup {
        switch item {
        case .refused(let refusal, let row):
            return ImportGroup(line: refusal.line, firstRow: row, rows: 1, outcome: .refused([refusal]))
        case .group(let group):
            let outcome: ImportGroup.Outcome =
                switch passing ? .events([]) : builder.outcome(of: group) {
                case .events(let events): .events(events.map { Array($0.compact.utf8) })
                case .skipped(let reason): .skipped(reason: reason)
                case .refused(let refusals): .refused(refusals)
                }
            return ImportGroup(
                line: group.line, firstRow: group.firstRow, rows: group.rowCount, outcome: outcome)
        }
    }
}
