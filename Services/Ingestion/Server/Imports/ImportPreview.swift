import IngestionDomain
import Models
import Postgres
import ServiceKit

/// Shows what the first rows of a file would become, and what would become of that. Nothing is stored.
struct ImportPreview: Sendable {
    let pool: PostgresPool
    let log: EventLog
    let files: ImportFileStore
    let items: ImportItems
    let directory: SourceDirectory
    let clock: ServiceClock
    let settings: ImportSettings

    static let rows = 20

    /// The first groups of a file, each with the verdicts on its events.
    struct Result: Sendable {
        var groups: [ImportGroup] = []
        /// For each group those on its events, in order.
        var items: [[(item: ImportBatch.Item, messageID: String?, verdict: Verdict)]] = []
        /// Whether the whole file was looked at: if not, a group may have further rows.
        var readToEnd = false
    }

    /// Throws `UnreadableFile` where the file can't be read so far.
    func preview(_ stored: StoredImport, _ definition: ImportDefinition) async throws -> Result {
        let (start, readToEnd) = try await start(of: stored)
        var result = Result(readToEnd: readToEnd)
        result.groups = try groups(of: start, isWhole: readToEnd, definition)
        guard let source = try await directory.source(stored.sourceID) else { throw Problem.noSource }
        let sent = result.groups.map { group in
            if case .events(let events) = group.outcome {
                events.map { ImportBatch.Item(line: group.line, bytes: $0) }
            } else {
                [] as [ImportBatch.Item]
            }
        }
        let now = try await clock.now()
        let delivery = items.delivery(sent.flatMap { $0 }, of: source, at: now)
        var verdicts = zip(delivery.items, try await rehearse(delivery, at: now)).makeIterator()
        result.items = sent.map { items in
            items.compactMap { item in verdicts.next().map { (item, $0.0.messageID, $0.1) } }
        }
        return result
    }

    private func start(of stored: StoredImport) async throws -> (bytes: [UInt8], isWhole: Bool) {
        var file = ImportFile(
            stored, in: files, maxInflatedBytes: settings.inflatedBytes, whileRunning: false)
        var bytes: [UInt8] = []
        while bytes.count < settings.previewBytes {
            do {
                guard let piece = try await file.next() else {
                    return (bytes, (stored.expectedBytes ?? 0) <= stored.storedBytes)
                }
                bytes += piece
            } catch is UnreadableFile where stored.state == .draft && !bytes.isEmpty {
                // The rest of what is packed may be on its way.
                return (bytes, false)
            }
        }
        return (bytes, false)
    }

    /// The groups that the first rows belong to. Of a file that is not all there the last row may be half of one, and is
    /// left out.
    private func groups(
        of start: [UInt8], isWhole: Bool, _ definition: ImportDefinition
    ) throws(UnreadableFile) -> [ImportGroup] {
        var survey: FileSurvey?
        if let mapping = definition.mapping, definition.isGrouped {
            var first = FileSurvey(
                mapping, format: definition.format, withCatalog: false, limits: settings.rows)
            try first.append(start)
            if isWhole { try first.finish() }
            survey = first
        }
        var reading = ImportReading(definition, survey: survey, limits: settings.rows)
        reading.append(start)
        if isWhole { reading.finish() }
        var groups: [ImportGroup] = []
        while let group = try reading.next() {
            if group.firstRow <= Self.rows { groups.append(group) }
            if survey == nil, group.firstRow >= Self.rows { break }
        }
        return groups.sorted { $0.firstRow < $1.firstRow }
    }

    private struct Rehearsed: Error { let verdicts: [Verdict] }

    /// The verdicts of the code that gives them, in a transaction that is rolled back.
    private func rehearse(_ delivery: EventWriter.Delivery, at now: Instant) async throws -> [Verdict] {
        guard !delivery.items.isEmpty else { return [] }
        do {
            return try await pool.transaction { transaction -> [Verdict] in
                let verdicts = try await log.append([delivery], at: now, in: transaction)
                throw Rehearsed(verdicts: verdicts.first ?? [])
            }
        } catch let rehearsed as Rehearsed {
            return rehearsed.verdicts
        }
    }
}
