import Models
import Postgres
import ProfileStore

/// The raw event log as far as it is about one person.
struct RawEventStore: Sendable {
    /// The names that the profiles went by.
    func subjects(of profileIDs: [ProfileID], in transaction: PostgresTransaction) async throws -> [String] {
        try await ProfileStore.names(of: profileIDs, in: transaction)
    }

    /// What identity has told about a request; nil while it has told nothing.
    func handedOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws -> [String]? {
        try await transaction.query("SELECT subjects FROM erasure_subject WHERE request_id = \(id)").first?
            .get("subjects")
    }

    /// Keeps what identity tells about a request.
    func handOver(
        _ id: PrivacyRequestID, subjects: [String], at now: Instant, in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            INSERT INTO erasure_subject (request_id, subjects, received_at)
            VALUES (\(id), \(subjects)::text[], \(now)) ON CONFLICT (request_id) DO NOTHING
            """)
    }

    func forgetHandOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws {
        // The row stays, so that a repetition finds that there is nothing left to do; the names go.
        try await transaction.execute("UPDATE erasure_subject SET subjects = '{}' WHERE request_id = \(id)")
    }

    /// Whether identity has already forgotten a profile.
    func isErased(_ id: ProfileID, in transaction: PostgresTransaction) async throws -> Bool {
        try await !transaction.query(
            """
            SELECT FROM profiles.profile
            WHERE shard = \(Shard(id)) AND profile_id = \(id) AND erased_at IS NOT NULL
            """
        ).isEmpty
    }

    /// The bodies of the events that were sent under these names, oldest first.
    func events(
        of subjects: [String], limit: Int, in transaction: PostgresTransaction
    ) async throws -> (events: [JSON], total: Int) {
        let rows = try await transaction.query(
            """
            SELECT body, count(*) OVER () AS total FROM stream_events
            WHERE (shard, key) IN (SELECT * FROM unnest(\(Self.shards(subjects))::smallint[], \(subjects)::text[]))
            ORDER BY recorded_at, shard, "offset" LIMIT \(limit)
            """)
        return (
            try rows.map { try $0.get("body", as: JSON.self) },
            try rows.first?.get("total", as: Int.self) ?? 0
        )
    }

    /// Replaces the events that were sent under these names by a tombstone: offsets stay gapless, and the message keys
    /// stay, so that nothing erased can be sent in again. Returns how many there were.
    func erase(_ subjects: [String], at now: Instant, in transaction: PostgresTransaction) async throws -> Int
    {
        _ = try await QuarantineStore.erase(subjects, in: transaction)
        let tombstone: JSON = ["kind": "erased", "at": .string(now.rfc3339)]
        return try await transaction.execute(
            """
            UPDATE stream_events SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            WHERE (shard, key) IN (SELECT * FROM unnest(\(Self.shards(subjects))::smallint[], \(subjects)::text[]))
            """)
    }

    private static func shards(_ subjects: [String]) -> [Shard] { subjects.map { Shard(hashing: $0) } }
}
