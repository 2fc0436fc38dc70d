import IngestionDomain
import Models
import Postgres

/// An import in the database.
struct StoredImport: Sendable {
    let id: ImportID
    let sourceID: SourceID
    let name: String
    let format: ImportFormat
    var mapping: JSON?
    var version = 1
    var expectedBytes: Int64?
    var shiftToNow = false
    var shift: Duration?
    var state = ImportState.draft
    var failure: String?
    let createdAt: Instant
    var touchedAt: Instant
    var startedAt: Instant?
    var endedAt: Instant?
    var storedBytes: Int64 = 0
    var readBytes: Int64 = 0
    var hasFile = true
    /// One more with every start from the beginning.
    var run = 0
    /// For how long batches were being taken in.
    var active = Duration.zero
    /// What the groups that are done with came to. `skipped` holds one sum; its reasons are in a table of their own.
    var counts = ImportCounts()
    var idempotencyKey: String?

    /// How its file is to be read; throws where its mapping means nothing any more.
    func definition() throws(InvalidMapping) -> ImportDefinition {
        guard let mapping else { return ImportDefinition(format: format, mapping: nil) }
        return ImportDefinition(format: format, mapping: try ImportMapping(json: mapping))
    }
}

/// A mistake in a file, as it is kept.
struct ImportProblem: Hashable, Sendable {
    enum Kind: String, CaseIterable, Sendable { case row, quarantined, refused }

    let line: Int
    let kind: Kind
    let reason: String
}

extension StoredImport {
    static let columns = SQL(
        unsafe: """
            import_id, source_id, name, format, mapping, version, expected_bytes, shift_to_now, shift_ms, state, failure,
            created_at, touched_at, started_at, ended_at, stored_bytes, read_bytes, has_file, run, groups, active_ms,
            rows_imported, rows_skipped, rows_refused, accepted, duplicate, quarantined, refused, problems,
            idempotency_key
            """)

    init(_ row: PostgresRow) throws {
        id = try row.get("import_id")
        sourceID = try row.get("source_id")
        name = try row.get("name")
        format = ImportFormat(rawValue: try row.get("format")) ?? .csv
        mapping = try row.get("mapping", as: JSON?.self)
        version = try row.get("version")
        expectedBytes = try row.get("expected_bytes", as: Int64?.self)
        shiftToNow = try row.get("shift_to_now")
        shift = try row.get("shift_ms", as: Int64?.self).map { .milliseconds($0) }
        state = ImportState(rawValue: try row.get("state")) ?? .failed
        failure = try row.get("failure", as: String?.self)
        createdAt = try row.get("created_at")
        touchedAt = try row.get("touched_at")
        startedAt = try row.get("started_at", as: Instant?.self)
        endedAt = try row.get("ended_at", as: Instant?.self)
        storedBytes = try row.get("stored_bytes")
        readBytes = try row.get("read_bytes")
        hasFile = try row.get("has_file")
        run = try row.get("run")
        active = .milliseconds(try row.get("active_ms", as: Int64.self))
        counts.groups = try row.get("groups")
        counts.rowsImported = try row.get("rows_imported")
        counts.skip("", groups: 0, rows: try row.get("rows_skipped"))
        counts.rowsRefused = try row.get("rows_refused")
        counts.accepted = try row.get("accepted")
        counts.duplicate = try row.get("duplicate")
        counts.quarantined = try row.get("quarantined")
        counts.refused = try row.get("refused")
        counts.problems = try row.get("problems")
        idempotencyKey = try row.get("idempotency_key", as: String?.self)
    }
}
