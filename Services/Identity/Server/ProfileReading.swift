import FoundationEssentials
import Models
import Postgres
import ProfileStore

/// Puts together what is known of people. Everything of one answer is read from one snapshot.
struct ProfileReading {
    let store: ProfileStore
    let pool: PostgresPool
    private let people = PeopleStore()
    private let timeline = TimelineStore()

    init(store: ProfileStore, pool: PostgresPool) {
        self.store = store
        self.pool = pool
    }

    /// The profile as the API shows it; nil when there is none, or nothing of it any more.
    func profile(_ id: ProfileID) async throws -> JSON? {
        try await snapshot { try await profile(id, in: $0) }
    }

    /// The profile that an identifier leads to.
    func profile(of identifier: Identifier) async throws -> JSON? {
        try await snapshot { transaction in
            guard let id = try await store.canonicalID(of: identifier, in: transaction) else { return nil }
            return try await profile(id, in: transaction)
        }
    }

    /// Up to `limit` profiles after the one given, and whether there are more.
    func profiles(after position: ProfileID?, limit: Int) async throws -> (items: [JSON], next: ProfileID?) {
        try await snapshot { transaction in
            let ids = try await people.page(after: position, limit: limit + 1, in: transaction)
            let shown = Array(ids.prefix(limit))
            let items = try await profiles(shown, in: transaction)
            return (items, ids.count > limit ? shown.last : nil)
        }
    }

    /// A page of a person's timeline, the latest first; nil when there is no such person.
    func timeline(
        of id: ProfileID, before position: TimelineStore.Position?, limit: Int
    ) async throws -> [TimelineStore.Entry]? {
        try await snapshot { transaction in
            guard let person = try await store.person(id, in: transaction), person.erasedAt == nil else {
                return nil
            }
            return try await timeline.page(
                of: person.memberIDs, before: position, limit: limit, in: transaction)
        }
    }

    /// The profile as the API shows it, read in a transaction of the caller's.
    func profile(_ id: ProfileID, in transaction: PostgresTransaction) async throws -> JSON? {
        try await profiles([id], in: transaction).first
    }

    private func profiles(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> [JSON] {
        let found = try await store.people(ids, in: transaction).filter { $0.value.erasedAt == nil }
        let memberIDs = found.values.flatMap(\.memberIDs)
        guard !memberIDs.isEmpty else { return [] }
        let identifiers = Dictionary(
            grouping: try await store.identifiers(of: memberIDs, in: transaction), by: \.profileID)
        let traits = Dictionary(
            grouping: try await store.storedTraits(of: memberIDs, in: transaction), by: \.profileID)
        return ids.compactMap { found[$0] }.map { person in
            ProfileView(
                person: person, identifiers: person.memberIDs.flatMap { identifiers[$0] ?? [] },
                traits: person.memberIDs.flatMap { traits[$0] ?? [] }
            ).json
        }
    }

    private func snapshot<T>(_ body: (PostgresTransaction) async throws -> T) async throws -> T {
        try await pool.transaction(isolation: .repeatableRead) { try await body($0) }
    }
}

/// A person as the API shows them.
private struct ProfileView {
    let person: Person
    let identifiers: [StoredIdentifier]
    let traits: [StoredTrait]

    var json: JSON {
        [
            "profileId": .string(person.profileID.description),
            "mergedProfileIds": .array(
                person.memberIDs.filter { $0 != person.profileID }.map { .string($0.description) }),
            "identifiers": .array(identifiers.sorted(by: Self.precedes).map(Self.json)),
            "traits": .object(effectiveTraits), "createdAt": .string(person.createdAt.rfc3339),
            "updatedAt": .string(person.updatedAt.rfc3339),
        ]
    }

    private var effectiveTraits: [String: JSON] {
        Dictionary(grouping: traits, by: \.name)
            .compactMapValues { $0.max { $0.entry.stamp < $1.entry.stamp } }
            .filter { !$0.value.entry.value.isNull }
            .mapValues { trait in
                [
                    "value": trait.entry.value, "occurredAt": .string(trait.entry.stamp.at.rfc3339),
                    "messageId": .string(trait.entry.stamp.messageID),
                    "sourceId": .string(trait.sourceID.description),
                ]
            }
    }

    private static func json(_ stored: StoredIdentifier) -> JSON {
        [
            "type": .string(stored.identifier.kind.rawValue), "value": .string(stored.identifier.value),
            "firstSeen": .string(stored.firstSeen.rfc3339), "lastSeen": .string(stored.lastSeen.rfc3339),
        ]
    }

    /// By kind, the most recently seen first.
    private static func precedes(_ left: StoredIdentifier, _ right: StoredIdentifier) -> Bool {
        if left.identifier.kind != right.identifier.kind {
            return left.identifier.kind.rawValue < right.identifier.kind.rawValue
        }
        if left.lastSeen != right.lastSeen { return left.lastSeen > right.lastSeen }
        return left.identifier.value.precedesInUTF8(right.identifier.value)
    }
}
