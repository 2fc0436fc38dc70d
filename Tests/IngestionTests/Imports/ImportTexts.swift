import Models

@testable import IngestionDomain

/// Files that are all there, read in pieces.
enum ImportTexts {
    static func survey(
        _ text: String, _ definition: ImportDefinition, pieces: Int = 1 << 16
    ) throws -> FileSurvey? {
        guard let mapping = definition.mapping else { return nil }
        var survey = FileSurvey(mapping, format: definition.format, withCatalog: false)
        for piece in cut(text, pieces) { try survey.append(piece) }
        try survey.finish()
        return survey
    }

    static func groups(
        _ text: String, _ definition: ImportDefinition, shift: Duration = .zero, pieces: Int = 1 << 16
    ) throws -> [ImportGroup] {
        var reading = ImportReading(
            definition, survey: try survey(text, definition, pieces: pieces), shift: shift)
        var groups: [ImportGroup] = []
        for piece in cut(text, pieces) {
            reading.append(piece)
            while let group = try reading.next() { groups.append(group) }
        }
        reading.finish()
        while let group = try reading.next() { groups.append(group) }
        return groups
    }

    static func batches(
        _ text: String, _ definition: ImportDefinition, skip: Int, limits: BatchCutter.Limits,
        pieces: Int = 1 << 16
    ) throws -> [ImportBatch] {
        var cutter = BatchCutter(
            ImportReading(definition, survey: try survey(text, definition, pieces: pieces)),
            skipGroups: skip, limits: limits)
        var batches: [ImportBatch] = []
        for piece in cut(text, pieces) {
            cutter.append(piece)
            while let batch = try cutter.next() { batches.append(batch) }
        }
        cutter.finish()
        while let batch = try cutter.next() { batches.append(batch) }
        return batches
    }

    static func cut(_ text: String, _ size: Int) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        return stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min(bytes.count, $0 + size)])
        }
    }
}
