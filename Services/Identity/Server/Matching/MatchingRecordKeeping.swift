import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// How long records are kept: what they say until it is known whose they are, or that nobody is asked; their ids, and what
/// became of them, for a time after the job.
extension MatchingRecordStore {
    /// Whether a question about the record `r` waits for an answer.
    static let isAskedAbout: SQL = """
        EXISTS (SELECT FROM identity.matching_proposal w WHERE w.right_hash = r.hash AND w.state = 'pending')
        OR EXISTS (SELECT FROM identity.matching_proposal w WHERE w.left_hash = r.hash AND w.state = 'pending')
        """
    private static let isNeeded: SQL = """
        ((\(isAskedAbout)) AND NOT EXISTS (
            SELECT FROM profiles.identifier i
            WHERE i.shard = r.shard AND i.type = r.type AND i.value_hash = r.hash))
        """
    private static let isOver: SQL = """
        EXISTS (
            SELECT FROM identity.matching_job j
            WHERE j.job_id = r.job_id AND j.state NOT IN ('queued', 'running'))
        """

    /// At the end of a job: what is answered by now is asked no more, and of the records that nobody is asked about
    /// nothing remains but their ids. What was brought of the same ones before is replaced.
    static func settle(_ job: MatchingJobID, at now: Instant, in transaction: PostgresTransaction)
        async throws
    {
        let hashes: SQL =
            "SELECT hash FROM identity.matching_record WHERE job_id = \(job) AND hash IS NOT NULL"
        try await transaction.pipeline([
            supersede(hashes, at: now),
            """
            UPDATE identity.matching_record r SET body = NULL
            WHERE r.job_id = \(job) AND r.body IS NOT NULL AND NOT \(isNeeded)
            """,
            """
            UPDATE identity.matching_record r SET body = NULL
            WHERE r.hash IN (\(hashes)) AND r.body IS NOT NULL AND r.job_id <> \(job) AND \(isOver)
            """,
        ])
    }

    /// When records have become somebody's, or somebody has said whose they are not.
    static func release(
        _ places: some Collection<IdentifierPlace>, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !places.isEmpty else { return }
        let hashes = places.map(\.hash)
        try await transaction.pipeline([
            supersede("SELECT unnest(\(hashes)::bytea[]) AS hash", at: now),
            """
            UPDATE identity.matching_record r SET body = NULL
            WHERE r.hash = ANY(\(hashes)::bytea[]) AND r.body IS NOT NULL AND NOT \(isNeeded) AND \(isOver)
            """,
        ])
    }

    /// What waits for an answer about the records, and has both sides at one person by now.
    private static func supersede(_ hashes: SQL, at now: Instant) -> SQL {
        """
        UPDATE identity.matching_proposal SET state = 'superseded', decided_at = \(now)
        WHERE (shard, proposal_id) IN (
            SELECT p.shard, p.proposal_id FROM \(MatchingProposalStore.tables)
            WHERE p.state = 'pending' AND (p.shard, p.proposal_id) IN (
                    SELECT w.shard, w.proposal_id FROM identity.matching_proposal w
                    WHERE w.state = 'pending' AND w.right_hash IN (\(hashes))
                    UNION
                    SELECT w.shard, w.proposal_id FROM identity.matching_proposal w
                    WHERE w.state = 'pending' AND w.left_hash IN (\(hashes)))
                AND l.canonical_id = r.canonical_id)
        """
    }

    /// Drops what is left of the records of jobs that have ended before an instant, some at a time, with the questions
    /// about them that nobody has answered. Returns how many.
    static func expire(
        before instant: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> Int {
        let jobs: SQL = """
            SELECT job_id FROM identity.matching_job WHERE records > 0 AND ended_at < \(instant)
            """
        try await transaction.execute(
            """
            DELETE FROM identity.matching_proposal
            WHERE state = 'pending' AND right_hash IS NOT NULL AND job_id IN (\(jobs))
            """)
        return try await transaction.execute(
            """
            DELETE FROM identity.matching_record
            WHERE (shard, job_id, row_number) IN (
                SELECT shard, job_id, row_number FROM identity.matching_record
                WHERE job_id IN (\(jobs)) LIMIT \(limit))
            """)
    }

    // MARK: Whom they are of

    /// The keyed hashes of what people are known by.
    private static func hashes(
        of ids: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<Data> {
        Set(
            try await session.query(
                "SELECT value_hash FROM profiles.identifier WHERE profile_id = ANY(\(ids)::uuid[])"
            ).map { try $0.get("value_hash", as: Data.self) })
    }

    /// Takes away what records say of the people: those that carry any of their identifiers, and those that may be theirs
    /// because nobody has said otherwise. Before the identifiers and the proposals of the people are deleted.
    static func erase(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        let theirs = try await hashes(of: ids, in: transaction)
        let marks = theirs.map(ImportedRecord.mark)
        let rows = try await transaction.query(
            """
            WITH asked AS (
                SELECT p.left_hash, p.right_hash FROM identity.matching_proposal p
                WHERE p.right_hash IS NOT NULL AND p.state IN ('planned', 'pending')
                    AND p.left_id = ANY(\(ids)::uuid[])
            ), found AS (
                SELECT r.shard, r.job_id, r.row_number, r.hash FROM identity.matching_record r
                WHERE r.marks && \(marks)::bigint[]
                UNION
                SELECT r.shard, r.job_id, r.row_number, r.hash FROM identity.matching_record r
                WHERE r.hash IN (SELECT right_hash FROM asked)
            ), gone AS (
                UPDATE identity.matching_record r
                SET type = NULL, hash = NULL, name = NULL, body = NULL, marks = '{}'
                FROM found f WHERE r.shard = f.shard AND r.job_id = f.job_id AND r.row_number = f.row_number
            )
            SELECT hash FROM found
            """)
        let gone = Array(theirs.union(try rows.compactMap { try $0.get("hash", as: Data?.self) }))
        try await transaction.execute(
            """
            DELETE FROM identity.matching_proposal
            WHERE left_hash = ANY(\(gone)::bytea[]) OR right_hash = ANY(\(gone)::bytea[])
            """)
        return rows.count
    }

    /// Which records carry identifiers of the people, for a request of access; whose they are is not known yet.
    static func told(of ids: [ProfileID], in session: some PostgresSession) async throws -> JSON {
        let marks = try await hashes(of: ids, in: session).map(ImportedRecord.mark)
        let rows = try await session.query(
            """
            SELECT r.type, r.job_id, r.row_number, j.created_at, r.body IS NOT NULL AS is_kept
            FROM identity.matching_record r JOIN identity.matching_job j ON j.job_id = r.job_id
            WHERE r.marks && \(marks)::bigint[] ORDER BY r.job_id, r.row_number
            """)
        return .array(
            try rows.map { row in
                [
                    "recordType": .string(try row.get("type", as: String?.self) ?? ""),
                    "jobId": .string(try row.get("job_id", as: MatchingJobID.self).description),
                    "row": .integer(try row.get("row_number")),
                    "broughtAt": .string(try row.get("created_at", as: Instant.self).rfc3339),
                    "traitsKept": .bool(try row.get("is_kept")),
                ]
            })
    }
}
