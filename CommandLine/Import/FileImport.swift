import Foundation
import Models

/// Brings a whole file into an installation.
struct FileImport {
    let path: String
    let mapping: Mapping
    let mappingText: String
    let sender: BatchSender
    let catalog: CatalogSender?
    let resumePath: String
    let concurrency: Int
    let batchSize: Int
    /// The time that the file's latest row is moved to; nil leaves times as they are.
    let shiftTo: Instant?

    private func rows() throws -> (CSVFile, RowReader) {
        let file = try CSVFile(path: path)
        return (file, try RowReader(mapping: mapping, file: path) { try file.next() })
    }

    private func identity() throws -> ResumeFile.Identity {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return ResumeFile.Identity(
            file: URL(fileURLWithPath: path).standardizedFileURL.path, bytes: attributes[.size] as? Int ?? 0,
            modified: (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0,
            mapping: StableHash.hash64(mappingText), target: sender.url)
    }

    /// Sends everything that an earlier run has not, and returns the sums of all runs.
    func run() async throws -> ImportCounts {
        let survey = try FileSurvey(mapping: mapping, reader: try rows().1)
        let identity = try identity()
        var resume =
            ResumeFile.read(path: resumePath, identity: identity)
            ?? ResumeFile(identity: identity, shiftMilliseconds: shift(survey).milliseconds)
        if resume.groupsDone > 0 { StandardError.write("going on after \(resume.counts.rows) rows\n") }
        let progress = ImportProgress(total: survey.rows, done: resume.counts.rows)
        if let catalog, let items = survey.catalog?.json, !resume.catalogDone {
            let (accepted, refused) = try await catalog.send(items)
            StandardError.write("catalog: \(accepted) items, \(refused.count) refused\n")
            for reason in refused.prefix(20) { StandardError.write("  \(reason)\n") }
            resume.catalogDone = true
            try resume.write(path: resumePath)
        }
        let (file, reader) = try rows()
        defer { file.close() }
        var cutter = BatchCutter(
            grouping: RowGrouping(reader: reader, survey: survey),
            builder: EventBuilder(mapping: mapping, shift: .milliseconds(resume.shiftMilliseconds)),
            skipGroups: resume.groupsDone, maxEvents: batchSize)
        try await send(&cutter, resume: &resume, progress: progress)
        await progress.finish()
        try? FileManager.default.removeItem(atPath: resumePath)
        return resume.counts
    }

    /// Keeps several batches on their way; what is done is noted in the order of the file.
    private func send(
        _ cutter: inout BatchCutter, resume: inout ResumeFile, progress: ImportProgress
    ) async throws {
        let sender = sender
        var finished: [Int: (batch: EventBatch, counts: ImportCounts)] = [:]
        var nextToNote = 0
        var started = 0
        var written = ContinuousClock.now
        try await withThrowingTaskGroup(of: (Int, EventBatch, ImportCounts).self) { group in
            func startOne() throws {
                guard let batch = try cutter.next() else { return }
                let number = started
                started += 1
                group.addTask { (number, batch, try await sender.send(batch.events[...])) }
            }
            for _ in 0..<concurrency { try startOne() }
            while let (number, batch, verdicts) = try await group.next() {
                try startOne()
                await progress.advance(rows: batch.counts.rows, events: batch.counts.events)
                finished[number] = (batch, verdicts)
                while let (batch, verdicts) = finished.removeValue(forKey: nextToNote) {
                    nextToNote += 1
                    resume.counts.add(batch.counts)
                    resume.counts.add(verdicts)
                    resume.groupsDone = batch.lastGroup
                }
                if ContinuousClock.now - written > .milliseconds(500) {
                    written = .now
                    try resume.write(path: resumePath)
                }
            }
        }
    }

    /// Whole weeks, so that weekdays and hours stay what they were.
    private func shift(_ survey: FileSurvey) -> Duration {
        guard let shiftTo, let latest = survey.latest else { return .zero }
        let week = Duration.days(7).milliseconds
        let gap = shiftTo.milliseconds - latest.milliseconds
        return .milliseconds(gap / week * week)
    }
}
