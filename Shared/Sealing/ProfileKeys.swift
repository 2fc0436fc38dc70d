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

    /// The keys of profiles, to write with, made where there are none: as the database has them in this transaction,
    /// whatever was known before. For identity alone.
    package func writing(
        _ ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> ProfileKeyring {
        guard !ids.isEmpty else { return ProfileKeyring(keys: [:]) }
        let ids = ids.sorted()
        var found = try await load(ids, in: transaction)
        let without = ids.filter { found[$0] == nil }
        if !without.isEmpty {
            let made = try without.map { try keys.wrap(.random(), at: Self.place(of: $0)) }
            try await transaction.execute(
                """
                INSERT INTO profiles.data_key (shard, profile_id, kek_id, wrapped)
                SELECT * FROM unnest(\(binary: without.map { Shard($0) }), \(binary: without),
                    \(binary: made.map(\.kekID)), \(made.map(\.bytes))::bytea[])
                ON CONFLICT (shard, profile_id) DO NOTHING
                """)
            found.merge(try await load(without, in: transaction)) { $1 }
        }
        return ProfileKeyring(keys: found)
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
    private let keys: [ProfileID: SealingKey]

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
