import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing

/// The SQL of records that were brought to jobs. What they say is sealed under identity's key of the day.
struct MatchingRecordStore: Sendable {
    let key: IdentifierKey
    let days: DayKeys

    // MARK: Taking them in

    func insert(
        _ records: MatchingImport, of job: MatchingJobID, policy: IdentityPolicy, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let day = try await days.key(at: now)
        var rows = CopyRows()
        for row in records.rows {
            var place: IdentifierPlace?
            var (name, body): (String?, String?)
            var marks: [Int64] = []
            if let identifier = row.identifier {
                let found = key.place(of: identifier)
                place = found
                name = try day.seal(identifier.value, at: ImportedRecord.namePlace(of: found))
                marks = [ImportedRecord.mark(of: found.hash)]
            }
            if case .success(let record) = row.verdict {
                body = try day.seal(
                    record.body.compact, at: ImportedRecord.bodyPlace(row.number, of: job))
                marks = record.identifiers(policy).map { ImportedRecord.mark(of: key.place(of: $0).hash) }
            }
            rows.append(
                place?.shard ?? Shard.all[0], job, row.number, place?.kind.rawValue, place?.hash, name, body,
                marks, row.refusal?.reason, row.refusal?.path)
        }
        try await transaction.copyIn(
            table: "identity.matching_record",
            columns: [
                "shard", "job_id", "row_number", "type", "hash", "name", "body", "marks", "reason", "path",
            ],
            rows: rows)
    }

    // MARK: Reading them

    /// A record that is to be compared, or to be made somebody's.
    struct Stored: Sendable {
        let place: IdentifierPlace
        /// Its id as it is kept, to be kept elsewhere.
        let sealedName: String
        let record: ImportedRecord
        let origin: ImportedRecord.Origin
        /// Whose profile it is already.
        let owner: ProfileID?
    }

    private static let columns: SQL = """
        r.shard, r.type, r.hash, r.name, r.body, r.job_id, r.row_number, j.created_at, j.definition->>'sourceId' AS source_id,
        i.profile_id AS owner
        """
    private static let tables: SQL = """
        identity.matching_record r
        JOIN identity.matching_job j ON j.job_id = r.job_id
        LEFT JOIN profiles.identifier i ON i.shard = r.shard AND i.type = r.type AND i.value_hash = r.hash
        """

    /// The records of a job after a row, as far as anything of them is left, and the last row; nil when that was all.
    func page(
        of job: MatchingJobID, after row: Int, limit: Int, in session: some PostgresSession
    ) async throws -> (records: [Stored], last: Int?) {
        let rows = try await session.query(
            """
            SELECT \(Self.columns) FROM \(Self.tables)
            WHERE r.job_id = \(job) AND r.row_number > \(row) AND r.body IS NOT NULL
            ORDER BY r.row_number LIMIT \(limit)
            """)
        return (try await opened(rows), rows.count == limit ? try rows.last?.get("row_number") : nil)
    }

    /// Of each record what was brought last.
    func latest(
        _ places: some Sequence<IdentifierPlace>, in session: some PostgresSession
    ) async throws -> [IdentifierPlace: Stored] {
        let hashes = places.map(\.hash)
        guard !hashes.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT DISTINCT ON (r.hash) \(Self.columns) FROM \(Self.tables)
            WHERE r.hash = ANY(\(hashes)::bytea[]) AND r.body IS NOT NULL
            ORDER BY r.hash, r.job_id DESC, r.row_number DESC
            """)
        return Dictionary(
            try await opened(rows).map { ($0.place, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private func opened(_ rows: [PostgresRow]) async throws -> [Stored] {
        var found: [Stored] = []
        for row in rows {
            let place = IdentifierPlace(
                shard: try row.get("shard"), kind: try MatchingEnd.kind(try row.get("type")),
                hash: try row.get("hash"))
            let origin = ImportedRecord.Origin(
                jobID: try row.get("job_id"), row: try row.get("row_number"),
                broughtAt: try row.get("created_at"),
                sourceID: try row.get("source_id", as: String?.self).flatMap { SourceID($0) })
            let name: String = try row.get("name")
            guard let identifier = try await identifier(name, at: place) else { continue }
            let body = try await days.openJSON(
                try row.get("body"), at: ImportedRecord.bodyPlace(origin.row, of: origin.jobID))
            guard let record = try? ImportedRecord(identifier: identifier, body: body) else { continue }
            found.append(
                Stored(
                    place: place, sealedName: name, record: record, origin: origin,
                    owner: try row.get("owner")))
        }
        return found
    }

    /// The identifier that a record's id is; nil when the key that it was sealed under is gone.
    func identifier(_ sealedName: String?, at place: IdentifierPlace) async throws -> Identifier? {
        guard let sealedName,
            let value = try await days.open(sealedName, at: ImportedRecord.namePlace(of: place))
        else { return nil }
        return Identifier(place.kind, normalised: value)
    }
}
