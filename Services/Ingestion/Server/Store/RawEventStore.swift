import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// The raw event log as far as it is about one person.
struct RawEventStore: Sendable {
    let profiles: ProfileStore

    /// The names that the profiles went by.
    func subjects(of profileIDs: [ProfileID], in transaction: PostgresTransaction) async throws -> [String] {
        try await profiles.names(of: profileIDs, in: transaction)
    }

    /// What identity has told about a request; nil while it has told nothing.
    func handedOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws -> [String]? {
        let row = try await transaction.query(
            "SELECT subjects FROM erasure_subject WHERE request_id = \(id)"
        ).first
        guard let stored = try row?.get("subjects", as: [String].self) else { return nil }
        var names: [String] = []
        for text in stored {
            guard let opened = try await profiles.vault.days.open(text, at: Self.place(of: id)) else {
                continue
            }
            names += try JSONParser.parse(Array(opened.utf8)[...]).array?.compactMap(\.string) ?? []
        }
        return names
    }

    private static func place(of id: PrivacyRequestID) -> String {
        "ingestion.erasure_subject.subjects \(id)"
    }

    /// Keeps what identity tells about a request.
    func handOver(
        _ id: PrivacyRequestID, subjects: [String], at now: Instant, in session: some PostgresSession
    ) async throws {
        let sealed = try await profiles.vault.days.key(at: now)
            .seal(JSON.array(subjects.map(JSON.string)).compact, at: Self.place(of: id))
        try await session.execute(
            """
            INSERT INTO erasure_subject (request_id, subjects, received_at)
            VALUES (\(id), \([sealed])::text[], \(now)) ON CONFLICT (request_id) DO NOTHING
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
            SELECT shard, key, recorded_at, body, count(*) OVER () AS total FROM stream_events
            WHERE \(named(subjects))
            ORDER BY recorded_at, shard, "offset" LIMIT \(limit)
            """)
        var events: [JSON] = []
        for row in rows {
            let place = StreamBodies.place(
                in: .events, shard: try row.get("shard"), key: try row.get("key"),
                recordedAt: try row.get("recorded_at"))
            // What lay under a key that was destroyed is held no more.
            guard
                let body = try await profiles.vault.days.open(try row.get("body", as: String.self), at: place)
            else {
                continue
            }
            events.append(try JSONParser.parse(Array(body.utf8)[...]))
        }
        return (events, try rows.first?.get("total", as: Int.self) ?? 0)
    }

    /// Replaces the events that were sent under these names by a tombstone: offsets stay gapless, and the message keys
    /// stay, so that nothing erased can be sent in again. Returns how many there were.
    func erase(_ subjects: [String], at now: Instant, in transaction: PostgresTransaction) async throws -> Int
    {
        _ = try await QuarantineStore.erase(subjects, profiles: profiles, in: transaction)
        let tombstone: JSON = ["kind": "erased", "at": .string(now.rfc3339)]
        return try await transaction.execute(
            """
            UPDATE stream_events SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            WHERE \(named(subjects))
            """)
    }

    /// Rows whose key is the mark of one of these names; or the name itself, from before there were marks.
    private func named(_ subjects: [String]) -> SQL {
        let shards = subjects.map { Shard(hashing: $0) }
        return """
            (shard, key) IN (SELECT * FROM unnest(\(binary: shards + shards),
                \(binary: subjects.map { profiles.key.mark(of: $0) } + subjects)))
            """
    }
}
