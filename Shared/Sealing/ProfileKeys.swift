import FoundationEssentials
package import Models
package import Postgres
import Synchronization

/// The keys of profiles, one each, under which everything is sealed that is about a person. Erasing somebody destroys
/// them, and whatever copies were left say nothing any more. Identity alone makes and destroys them.
package final class ProfileKeys: Sendable {
    private struct Known {
        let wrapped: WrappedKey
        let key: SealingKey
    }

    /// Two generations of what was used lately, so that it is bounded, and forgets.
    private struct State {
        var young: [ProfileID: Known] = [:]
        var old: [ProfileID: Known] = [:]
        var since = ContinuousClock.now

        mutating func age(limit: Int, after: Duration) {
            guard young.count >= limit || ContinuousClock.now - since > after else { return }
            (old, young, since) = (young, [:], .now)
        }

        mutating func find(_ id: ProfileID) -> Known? {
            if let known = young[id] { return known }
            guard let known = old[id] else { return nil }
            young[id] = known
            return known
        }
    }

    private static let generation = 20_000
    /// A key that was destroyed is held for two generations at most.
    private static let lifetime = Duration.seconds(120)

    private let keys: KeyEncryptionKeys
    private let state = Mutex(State())

    package init(keys: KeyEncryptionKeys) { self.keys = keys }

    /// The keys of profiles, to read with; those of profiles that were erased are missing.
    package func reading(
        _ ids: some Sequence<ProfileID>, in session: some PostgresSession
    ) async throws -> ProfileKeyring {
        var found: [ProfileID: SealingKey] = [:]
        var missing: Set<ProfileID> = []
        state.withLock { state in
            for id in ids {
                if let known = state.find(id) { found[id] = known.key } else { missing.insert(id) }
            }
        }
        if !missing.isEmpty {
            found.merge(try await load(missing.sorted(), in: session)) { $1 }
        }
        return ProfileKeyring(keys: found)
    }

    /// The keys of profiles in rows that a statement of the caller's has read along with others: with `profile_id`,
    /// `kek_id`, `wrapped`, and `is_settled`, which is `created_at < now()`.
    package func reading(_ rows: [PostgresRow]) throws -> ProfileKeyring {
        ProfileKeyring(keys: try unwrap(rows))
    }

    /// The keys of profiles as the database has them now, whatever was known before.
    package func current(
        _ ids: some Sequence<ProfileID>, in session: some PostgresSession
    ) async throws -> ProfileKeyring {
        ProfileKeyring(keys: try await load(Set(ids).sorted(), in: session))
    }

    /// The keys of profiles, to write with, made where there are none: as the database has them in this transaction,
    /// whatever was known before. `known` are those that the transaction has read itself, `new` the profiles that it
    /// makes. For identity alone.
    package func writing(
        _ ids: Set<ProfileID>, having known: ProfileKeyring = .empty, new: Set<ProfileID> = [],
        in transaction: PostgresTransaction
    ) async throws -> ProfileKeyring {
        var found = known.keys
        let ids = ids.filter { found[$0] == nil }.sorted()
        guard !ids.isEmpty else { return known }
        found.merge(try await find(ids, making: ids.filter(new.contains), in: transaction)) { $1 }
        // Those that have none, or got theirs from another transaction meanwhile, which the statement that met it did
        // not see.
        var without = ids.filter { found[$0] == nil }
        for _ in 0..<2 where !without.isEmpty {
            found.merge(try await find(without, making: without, in: transaction)) { $1 }
            without = without.filter { found[$0] == nil }
        }
        return ProfileKeyring(keys: found)
    }

    /// Reads the keys that there are and makes others, in one statement.
    private func find(
        _ ids: [ProfileID], making candidates: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileID: SealingKey] {
        if candidates.isEmpty { return try await load(ids, in: transaction) }
        let new = try candidates.map { id in
            let key = SealingKey.random()
            return (id: id, key: key, wrapped: try keys.wrap(key, at: Self.place(of: id)))
        }
        let rows = try await transaction.query(
            """
            WITH found AS MATERIALIZED (
                SELECT k.profile_id, k.kek_id, k.wrapped, k.created_at < now() AS is_settled
                FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
                JOIN profiles.data_key k ON k.shard = w.shard AND k.profile_id = w.id
            ), made AS (
                INSERT INTO profiles.data_key (shard, profile_id, kek_id, wrapped)
                SELECT c.shard, c.id, c.kek_id, c.wrapped
                FROM unnest(\(binary: new.map { Shard($0.id) }), \(binary: new.map(\.id)),
                            \(binary: new.map(\.wrapped.kekID)), \(binary: new.map(\.wrapped.bytes)))
                     AS c (shard, id, kek_id, wrapped)
                WHERE NOT EXISTS (SELECT FROM found f WHERE f.profile_id = c.id)
                ORDER BY c.shard, c.id
                ON CONFLICT (shard, profile_id) DO NOTHING
                RETURNING profile_id
            )
            SELECT profile_id, kek_id, wrapped, is_settled FROM found
            UNION ALL SELECT profile_id, NULL, NULL, false FROM made
            """)
        let made = Dictionary(new.map { ($0.id, $0.key) }, uniquingKeysWith: { first, _ in first })
        var stored: [PostgresRow] = []
        var result: [ProfileID: SealingKey] = [:]
        for row in rows {
            if try row.get("kek_id", as: String?.self) != nil {
                stored.append(row)
            } else {
                let id: ProfileID = try row.get("profile_id")
                result[id] = made[id]
            }
        }
        result.merge(try unwrap(stored)) { $1 }
        return result
    }

    /// Destroys the keys of profiles, and returns how many there were.
    package func destroy(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        state.withLock { state in
            for id in ids { (state.young[id], state.old[id]) = (nil, nil) }
        }
        return try await transaction.execute(
            """
            DELETE FROM profiles.data_key k
            USING unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
            WHERE k.shard = w.shard AND k.profile_id = w.id
            """)
    }

    private func load(
        _ ids: [ProfileID], in session: some PostgresSession
    ) async throws -> [ProfileID: SealingKey] {
        let rows = try await session.query(
            """
            SELECT k.profile_id, k.kek_id, k.wrapped,
                k.created_at < now() AS is_settled
            FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
            JOIN profiles.data_key k ON k.shard = w.shard AND k.profile_id = w.id
            """)
        return try unwrap(rows)
    }

    /// The keys in rows with `profile_id`, `kek_id`, `wrapped`, and `is_settled`: whether the key was there before the
    /// transaction began.
    private func unwrap(_ rows: [PostgresRow]) throws -> [ProfileID: SealingKey] {
        var found: [ProfileID: SealingKey] = [:]
        var fresh: [ProfileID: Known] = [:]
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            let wrapped = WrappedKey(kekID: try row.get("kek_id"), bytes: try row.get("wrapped"))
            if let known = state.withLock({ $0.find(id) }), known.wrapped == wrapped {
                found[id] = known.key
                continue
            }
            let key = try keys.unwrap(wrapped, at: Self.place(of: id))
            found[id] = key
            // What this very transaction has made may be rolled back, and then there is another key.
            if try row.get("is_settled", as: Bool.self) { fresh[id] = Known(wrapped: wrapped, key: key) }
        }
        state.withLock { state in
            state.age(limit: Self.generation, after: Self.lifetime)
            state.young.merge(fresh) { $1 }
        }
        return found
    }

    static func place(of id: ProfileID) -> String { "profiles.data_key \(id)" }
}

/// The keys of some profiles.
package struct ProfileKeyring: Sendable {
    private static let name = "p"
    fileprivate let keys: [ProfileID: SealingKey]

    /// For what is not about any person.
    package static let empty = ProfileKeyring(keys: [:])

    init(keys: [ProfileID: SealingKey]) { self.keys = keys }

    /// The text that stands for `text`, which is about a profile, at this place.
    package func seal(_ text: String, of id: ProfileID, at place: String) throws(SealingError) -> String {
        guard let key = keys[id] else { throw .altered(place: "profiles.data_key") }
        let sealed = try key.seal(Array(text.utf8), at: place)
        return String(decoding: SealedText.text(sealed, under: Self.name), as: UTF8.self)
    }

    /// What a sealed text says, or a text that is not sealed itself; nil when the profile's key was destroyed.
    package func open(_ text: String, of id: ProfileID, at place: String) throws(SealingError) -> String? {
        guard text.utf8.starts(with: "~p.".utf8), let (_, sealed) = SealedText.read(text) else { return text }
        guard let key = keys[id] else { return nil }
        return String(decoding: try key.open(sealed, at: place), as: UTF8.self)
    }
}

// MARK: JSON

extension ProfileKeyring {
    /// What stands for a value, which is about a profile, in a column of JSON: a string.
    package func seal(_ value: JSON, of id: ProfileID, at place: String) throws(SealingError) -> JSON {
        .string(try seal(value.compact, of: id, at: place))
    }

    /// What a sealed value of a column of JSON says, or a value that is not sealed itself; nil when the profile's key was
    /// destroyed.
    package func open(_ value: JSON, of id: ProfileID, at place: String) throws -> JSON? {
        guard case .string(let text) = value, text.utf8.first == UInt8(ascii: "~") else { return value }
        return try open(text, of: id, at: place).map { opened in
            // A text of somebody's own that looks sealed and is not.
            opened == text ? value : try JSONParser.parse(Array(opened.utf8)[...])
        }
    }
}
