import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// The raw event log as far as it is about one person.
struct RawEventStore: Sendable {
    let profiles: ProfileStore

    /// What identity tells of somebody whom it has erased.
    struct Told: Sendable {
        /// Every name that something may be kept under which is about them.
        var subjects: [String]
        /// Their profiles, which nobody new has.
        var profileIDs: [ProfileID]
        /// Up to where the events under the names are theirs; nil if all are.
        var upTo: [Shard: Int64]?

        /// `{"17":1234}`
        static func positions(_ json: JSON) -> [Shard: Int64]? {
            guard let members = json.object else { return nil }
            var positions: [Shard: Int64] = [:]
            for (name, value) in members {
                guard let shard = Int16(name).flatMap({ Shard(number: $0) }), let offset = value.integer
                else {
                    return nil
                }
                positions[shard] = offset
            }
            return positions
        }

        var positions: JSON? {
            upTo.map { upTo in
                .object(
                    Dictionary(uniqueKeysWithValues: upTo.map { ("\($0.key.number)", .integer($0.value)) }))
            }
        }
    }

    /// The names that the profiles went by.
    func subjects(of profileIDs: [ProfileID], in transaction: PostgresTransaction) async throws -> [String] {
        try await profiles.names(of: profileIDs, in: transaction)
    }

    /// What identity has told about a request; nil while it has told nothing.
    func handedOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws -> Told? {
        let rows = try await transaction.query(
            "SELECT subjects, profile_ids, up_to FROM erasure_subject WHERE request_id = \(id)")
        guard let row = rows.first else { return nil }
        var names: [String] = []
        for text in try row.get("subjects", as: [String].self) {
            guard let opened = try await profiles.vault.days.open(text, at: Self.place(of: id)) else {
                continue
            }
            names += try JSONParser.parse(Array(opened.utf8)[...]).array?.compactMap(\.string) ?? []
        }
        return Told(
            subjects: names, profileIDs: try row.get("profile_ids"),
            upTo: try row.get("up_to", as: JSON?.self).flatMap { Told.positions($0) })
    }

    private static func place(of id: PrivacyRequestID) -> String {
        "ingestion.erasure_subject.subjects \(id)"
    }

    /// Keeps what identity tells about a request.
    func handOver(
        _ id: PrivacyRequestID, _ told: Told, at now: Instant, in session: some PostgresSession
    ) async throws {
        let sealed = try await profiles.vault.days.key(at: now)
            .seal(JSON.array(told.subjects.map(JSON.string)).compact, at: Self.place(of: id))
        try await session.execute(
            """
            INSERT INTO erasure_subject (request_id, subjects, profile_ids, up_to, received_at)
            VALUES (\(id), \([sealed])::text[], \(told.profileIDs)::uuid[], \(told.positions)::jsonb, \(now))
            ON CONFLICT (request_id) DO NOTHING
            """)
    }

    func forgetHandOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws {
        // The row stays, so that a repetition finds that there is nothing left to do; the names go.
        try await transaction.execute("UPDATE erasure_subject SET subjects = '{}' WHERE request_id = \(id)")
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

    /// Replaces the events that were sent under these names by a tombstone, as far as they are the person's: offsets stay
    /// gapless, and the message keys stay, so that nothing erased can be sent in again. Returns how many there were.
    func erase(_ told: Told, at now: Instant, in transaction: PostgresTransaction) async throws -> Int {
        _ = try await QuarantineStore.erase(told.subjects, profiles: profiles, in: transaction)
        let profileIDs = Set(told.profileIDs.map(\.description))
        let names = Set(told.subjects).subtracting(profileIDs).sorted()
        let rows = Keys(names, of: profiles)
        let bounds = rows.shards.map { shard in told.upTo.map { $0[shard] ?? 0 } ?? Int64.max }
        let ids = Keys(profileIDs.sorted(), of: profiles)
        let tombstone: JSON = ["kind": "erased", "at": .string(now.rfc3339)]
        return try await transaction.execute(
            """
            UPDATE stream_events e SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            FROM unnest(\(binary: rows.shards + ids.shards), \(binary: rows.keys + ids.keys),
                        \(binary: bounds + ids.keys.map { _ in Int64.max })) AS w (shard, key, up_to)
            WHERE e.shard = w.shard AND e.key = w.key AND e."offset" <= w.up_to
            """)
    }

    private func named(_ subjects: [String]) -> SQL {
        let keys = Keys(subjects, of: profiles)
        return "(shard, key) IN (SELECT * FROM unnest(\(binary: keys.shards), \(binary: keys.keys)))"
    }

    /// Under what names stand: their marks; or the names themselves, from before there were marks.
    private struct Keys {
        let shards: [Shard]
        let keys: [String]

        init(_ names: [String], of profiles: ProfileStore) {
            let own = names.map { Shard(hashing: $0) }
            shards = own + own
            keys = names.map { profiles.key.mark(of: $0) } + names
        }
    }
}
