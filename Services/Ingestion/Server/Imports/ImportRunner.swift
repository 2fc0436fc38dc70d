import IngestionDomain
import Logging
import Models
import Postgres
import ServiceKit

/// Takes a file in: reads it on from its checkpoint, and writes each batch with the checkpoint behind it in one
/// transaction. Whatever is killed, whenever, nothing is lost or doubled.
struct ImportRunner: Sendable {
    let pool: PostgresPool
    let store: ImportStore
    let files: ImportFileStore
    let log: EventLog
    let items: ImportItems
    let directory: SourceDirectory
    let clock: ServiceClock
    let settings: ImportSettings
    let logger: Logger

    /// Takes in what is left of a running import. It ends early when the import is paused, and after so many `batches`,
    /// as if the process had been killed then.
    func run(_ id: ImportID, batches: Int = .max) async throws {
        guard var stored = try await store.get(id), stored.state == .running else { return }
        do {
            try await take(&stored, batches: batches)
        } catch ImportFile.End.notWanted {
            return
        } catch let problem as UnreadableFile {
            try await fail(stored, problem.description)
        } catch let mistakes as InvalidMapping {
            try await fail(stored, mistakes.mistakes.first?.description ?? "the mapping has mistakes")
        } catch let locked as ImportVaultLocked {
            try await fail(stored, locked.description)
        } catch let error as PostgresError {
            // To be tried again, by somebody who has looked at it.
            logger.error("an import failed", metadata: ["import": "\(id)", "error": "\(error)"])
            try await fail(stored, "something broke here; it is logged")
        }
    }

    private func take(_ stored: inout StoredImport, batches: Int) async throws {
        let definition = try stored.definition()
        let survey = try await survey(&stored, definition)
        var file = file(of: stored)
        var cutter = BatchCutter(
            ImportReading(
                definition, survey: survey, shift: stored.shift ?? .zero, limits: settings.rows),
            skipGroups: stored.counts.groups, limits: settings.batch)
        var left = batches
        var started = ContinuousClock.now
        var isWhole = false
        while true {
            while let batch = try cutter.next() {
                guard left > 0 else { return }
                left -= 1
                guard try await commit(batch, of: &stored, readBytes: file.offset, since: started) else {
                    return
                }
                started = .now
            }
            if isWhole { break }
            if let piece = try await patiently({ try await file.next() }) {
                cutter.append(piece)
            } else {
                cutter.finish()
                isWhole = true
            }
        }
        guard left > 0 else { return }
        let ending = stored
        _ = try await patiently {
            try await ImportCheckpointStore.end(
                ending, as: .done, failure: nil, at: try await clock.now(), in: pool)
        }
        while try await patiently({ try await files.deletePieces(limit: 64) }) > 0 {}
    }

    private func file(of stored: StoredImport) -> ImportFile {
        ImportFile(stored, in: files, maxInflatedBytes: settings.inflatedBytes, whileRunning: true)
    }

    /// The first pass, where one is needed.
    private func survey(
        _ stored: inout StoredImport, _ definition: ImportDefinition
    ) async throws -> FileSurvey? {
        let needsShift = stored.shiftToNow && stored.shift == nil
        guard let mapping = definition.mapping, definition.isGrouped || needsShift else { return nil }
        var survey = FileSurvey(mapping, format: definition.format, withCatalog: false, limits: settings.rows)
        var file = file(of: stored)
        while let piece = try await patiently({ try await file.next() }) { try survey.append(piece) }
        try survey.finish()
        if needsShift {
            let shift = survey.shift(to: try await patiently { try await clock.now() })
            let moving = stored
            try await patiently { try await ImportCheckpointStore.setShift(shift, of: moving, in: pool) }
            stored.shift = shift
        }
        return definition.isGrouped ? survey : nil
    }

    /// Writes a batch, waiting while the database is away. False when the import is not this runner's any more.
    private func commit(
        _ batch: ImportBatch, of stored: inout StoredImport, readBytes: Int64,
        since started: ContinuousClock.Instant
    ) async throws -> Bool {
        let before = stored
        let committed = try await patiently {
            guard let source = try await directory.source(before.sourceID) else { return false }
            let now = try await clock.now()
            let delivery = items.delivery(batch.items, of: source, at: now)
            let verdicts = try await write { transaction in
                let verdicts =
                    batch.items.isEmpty
                    ? [] : try await log.append([delivery], at: now, in: transaction).first ?? []
                let (counts, problems) = Self.account(batch, verdicts)
                let isOurs = try await ImportCheckpointStore.advance(
                    before, to: batch.lastGroup, readBytes: readBytes, took: ContinuousClock.now - started,
                    counts: counts, problems: problems, in: transaction)
                guard isOurs else { throw NotOurs() }
                return verdicts
            }
            if let verdicts { EventWriter.count(verdicts) }
            return verdicts != nil
        }
        // Also when the connection was lost in the moment of the commit, and it had taken effect.
        stored.counts.groups = batch.lastGroup
        if committed { return true }
        let id = stored.id
        guard let now = try await patiently({ try await store.get(id) }) else { return false }
        return now.state == .running && now.run == stored.run && now.counts.groups == batch.lastGroup
    }

    private struct NotOurs: Error {}

    /// What `body` returns, committed; nil where it found that somebody else has gone on.
    private func write(_ body: (PostgresTransaction) async throws -> [Verdict]) async throws -> [Verdict]? {
        do {
            return try await pool.transaction { try await body($0) }
        } catch is NotOurs {
            return nil
        }
    }

    /// What a batch came to, and what went wrong in it, in the order of its groups.
    private static func account(
        _ batch: ImportBatch, _ verdicts: [Verdict]
    ) -> (counts: ImportCounts, problems: [ImportProblem]) {
        var counts = batch.counts
        var problems: [ImportProblem] = []
        var refusals = batch.refusals[...]
        func list(before item: Int) {
            while let next = refusals.first, next.itemsBefore <= item {
                refusals.removeFirst()
                problems.append(
                    ImportProblem(line: next.refusal.line, kind: .row, reason: next.refusal.reason))
            }
        }
        for (index, (item, verdict)) in zip(batch.items, verdicts).enumerated() {
            list(before: index)
            counts.count(verdict)
            guard let refusal = verdict.refusal else { continue }
            let kind: ImportProblem.Kind = if case .quarantined = verdict { .quarantined } else { .refused }
            problems.append(
                ImportProblem(
                    line: item.line, kind: kind, reason: "\(refusal.reason.rawValue): \(refusal.detail)"))
        }
        list(before: batch.items.count)
        return (counts, problems)
    }

    private func fail(_ stored: StoredImport, _ reason: String) async throws {
        _ = try await patiently {
            try await ImportCheckpointStore.end(
                stored, as: .failed, failure: reason, at: try await clock.now(), in: pool)
        }
    }

    /// Tries again, once a second, while the database is away or too busy.
    private func patiently<T>(_ body: () async throws -> T) async throws -> T {
        while true {
            do {
                return try await body()
            } catch let error as PostgresError where error.isTransient || error.isTimeout {
                logger.debug("an import waits for the database", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}

extension PostgresError {
    fileprivate var isTimeout: Bool { if case .timeout = self { true } else { false } }
}
