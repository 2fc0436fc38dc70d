import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams

/// Reads and writes the states and deadlines of profiles.
struct StateStore {
    /// What is stored of a profile.
    enum Stored {
        /// It was not known before this transaction.
        case fresh
        case state(ProfileState)
        /// It was merged into another.
        case merged
    }

    let transaction: PostgresTransaction
    let registry: SegmentRegistry

    /// Locks and reads the profiles' rows, making those that are missing, so that whoever else touches one of them
    /// waits for this transaction.
    func lock(_ ids: Set<ProfileID>) async throws -> [ProfileID: Stored] {
        var found = try await lockExisting(ids)
        let missing = ids.filter { found[$0] == nil }
        guard !missing.isEmpty else { return found }
        let wanted = Self.ordered(missing)
        let made = try await transaction.query(
            """
            INSERT INTO profile_state (shard, profile_id, state)
            SELECT w.shard, w.id, '{}'
            FROM unnest(\(binary: wanted.map { Shard($0) }), \(binary: wanted)) AS w (shard, id)
            ON CONFLICT DO NOTHING
            RETURNING profile_id
            """)
        for row in made { found[try row.get("profile_id")] = .fresh }
        // Somebody else made them in between.
        found.merge(try await lockExisting(missing.filter { found[$0] == nil })) { $1 }
        return found
    }

    /// Locks and reads the rows that exist.
    func lockExisting(_ ids: Set<ProfileID>) async throws -> [ProfileID: Stored] {
        guard !ids.isEmpty else { return [:] }
        let wanted = Self.ordered(ids)
        let rows = try await transaction.query(
            """
            SELECT s.profile_id, s.state
            FROM unnest(\(binary: wanted.map { Shard($0) }), \(binary: wanted)) AS w (shard, id)
            JOIN profile_state s ON s.shard = w.shard AND s.profile_id = w.id
            ORDER BY s.shard, s.profile_id
            FOR UPDATE OF s
            """)
        var found: [ProfileID: Stored] = [:]
        for row in rows {
            found[try row.get("profile_id")] = try await Self.stored(row, registry, in: transaction)
        }
        return found
    }

    /// Locks and reads the next profiles of a shard after a position.
    func lockNext(in shard: Shard, after position: ProfileID, limit: Int) async throws -> [(
        ProfileID, Stored
    )] {
        let rows = try await transaction.query(
            """
            SELECT profile_id, state FROM profile_state
            WHERE shard = \(shard) AND profile_id > \(position)
            ORDER BY profile_id LIMIT \(limit)
            FOR UPDATE
            """)
        var found: [(ProfileID, Stored)] = []
        for row in rows {
            found.append(
                (try row.get("profile_id"), try await Self.stored(row, registry, in: transaction)))
        }
        return found
    }

    /// Reads one profile's state without locking it.
    static func read(
        _ id: ProfileID, _ registry: SegmentRegistry, in session: some PostgresSession
    ) async throws -> Stored? {
        let row = try await session.query(
            "SELECT profile_id, state FROM profile_state WHERE shard = \(Shard(id)) AND profile_id = \(id)"
        ).first
        guard let row else { return nil }
        return try await stored(row, registry, in: session)
    }

    /// What a row with `profile_id` and `state` says. One that does not read, because a newer version wrote it or a key is
    /// missing, is waited for: a fact must not be put aside for it.
    static func stored(
        _ row: PostgresRow, _ registry: SegmentRegistry, in session: some PostgresSession
    ) async throws -> Stored {
        guard let text = try row.get("state", as: String?.self) else { return .merged }
        let id: ProfileID = try row.get("profile_id")
        do {
            guard let bytes = try await registry.vault.days.openBytes(Array(text.utf8), at: place(of: id))
            else {
                // The key of its day is gone, and with it what the state knew.
                return .fresh
            }
            if PackedState.isPacked(bytes) {
                let packed = PackedState(bytes: bytes)
                let layout = try await registry.layouts.layout(try packed.layoutKey, in: session)
                return .state(try packed.state(layout))
            }
            let json = try JSONParser.parse(bytes[...])
            return json == [:] ? .fresh : .state(try ProfileState(json: json))
        } catch let error as PostgresError {
            throw error
        } catch let error as RetryLater {
            throw error
        } catch {
            throw RetryLater("the state of profile \(id) does not read: \(error)")
        }
    }

    /// Those of the profiles merged into these, directly or through others, that are merged as far as their facts have been
    /// read.
    static func merged(
        into profiles: some Collection<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> Set<ProfileID> {
        let rows = try await transaction.query(
            """
            WITH RECURSIVE member (id, survivor_id) AS (
                SELECT e.merged_id, e.survivor_id FROM profiles.merge e
                WHERE e.survivor_id = ANY(\(binary: Array(profiles)))
                UNION
                SELECT e.merged_id, e.survivor_id FROM member m JOIN profiles.merge e ON e.survivor_id = m.id
            )
            SELECT id, survivor_id FROM member
            """)
        guard !rows.isEmpty else { return [] }
        var parts: [ProfileID: [ProfileID]] = [:]
        for row in rows { parts[try row.get("survivor_id"), default: []].append(try row.get("id")) }
        let ids = Array(Set(parts.values.joined()))
        let merged = try await transaction.query(
            """
            SELECT s.profile_id
            FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
            JOIN profile_state s ON s.shard = w.shard AND s.profile_id = w.id AND s.state IS NULL
            """)
        let known: Set<ProfileID> = Set(try merged.map { try $0.get("profile_id") })
        // What was merged into one that is not known to be merged is that one's.
        var found: Set<ProfileID> = []
        var next = Array(profiles)
        while let one = next.popLast() {
            for part in parts[one] ?? [] where known.contains(part) && found.insert(part).inserted {
                next.append(part)
            }
        }
        return found
    }

    private static func ordered(_ ids: some Collection<ProfileID>) -> [ProfileID] {
        ids.map { (Shard($0), $0) }.sorted { $0 < $1 }.map(\.1)
    }

    private static func place(of id: ProfileID) -> String { "segmentation.profile_state.state \(id)" }

    // MARK: Writing

    /// Statements that write states; nil marks a profile that was merged into another.
    static func writes(_ states: [(ProfileID, ProfileState?)], under key: DayKey) throws -> [SQL] {
        guard !states.isEmpty else { return [] }
        let texts = try states.map { id, state in
            try state.map {
                String(decoding: try key.seal(PackedState($0).bytes, at: place(of: id)), as: UTF8.self)
            }
        }
        return [
            """
            UPDATE profile_state s SET state = w.state
            FROM unnest(\(binary: states.map { Shard($0.0) }), \(binary: states.map(\.0)),
                        \(binary: texts)) AS w (shard, id, state)
            WHERE s.shard = w.shard AND s.profile_id = w.id
            """
        ]
    }

    /// Statements that set the deadlines of profiles, or take them away.
    static func writes(deadlines: [(ProfileID, Instant?)]) -> [SQL] {
        let set = deadlines.compactMap { id, due in due.map { (id, $0) } }
        let gone = deadlines.filter { $0.1 == nil }.map(\.0)
        var statements: [SQL] = []
        if !set.isEmpty {
            statements.append(
                """
                INSERT INTO deadline (shard, profile_id, due_at)
                SELECT * FROM unnest(\(binary: set.map { Shard($0.0) }), \(binary: set.map(\.0)),
                                     \(binary: set.map(\.1)))
                ON CONFLICT (shard, profile_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0
                """)
        }
        if !gone.isEmpty { statements.append(delete(gone, from: "deadline")) }
        return statements
    }

    /// A statement that deletes the rows of profiles.
    static func delete(_ ids: [ProfileID], from table: String) -> SQL {
        """
        DELETE FROM \(unsafe: table) t
        USING unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
        WHERE t.shard = w.shard AND t.profile_id = w.id
        """
    }
}
