import IngestionDomain
import ServiceKit

/// How much an import may bring at once.
struct ImportSettings: Sendable {
    /// Bytes of one piece of an upload.
    var chunkBytes = 4 << 20
    /// Bytes of a file as it is sent, and after it is unpacked.
    var fileBytes: Int64 = 4 << 30
    var inflatedBytes: Int64 = 32 << 30
    /// What is looked at for a preview.
    var previewBytes = 8 << 20
    var rows = ImportLimits()
    var batch = BatchCutter.Limits()

    init() {}

    init(_ settings: ServiceSettings) throws {
        chunkBytes = try settings.int(
            "INGESTION_IMPORT_CHUNK_BYTES", in: 1024...(64 << 20), default: chunkBytes)
        fileBytes = Int64(
            try settings.int("INGESTION_IMPORT_FILE_BYTES", in: 1024...(1 << 42), default: Int(fileBytes)))
        inflatedBytes = Int64(
            try settings.int(
                "INGESTION_IMPORT_INFLATED_BYTES", in: 1024...(1 << 44), default: Int(inflatedBytes)))
        batch = BatchCutter.Limits(
            events: try settings.int("INGESTION_IMPORT_BATCH_EVENTS", in: 1...2_000, default: batch.events))
    }
}
