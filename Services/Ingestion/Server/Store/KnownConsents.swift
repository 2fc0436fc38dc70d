import ConsentDomain
import IngestionDomain
import Models
import Postgres
import ProfileStore
import Synchronization

/// What people have said, by their names: read from the profile store, and kept in memory for as long as it is true.
///
/// Whoever acts does so many times in a minute. What was read of somebody is as true as it was while the ledgers of their
/// shards have not moved on, and that is asked again in each transaction: a withdrawal counts for the first event after its
/// acknowledgement. Who is behind a name is a second old at most, as the policy is; nobody is remembered to be unknown.
final class KnownConsents: Sendable {
    typealias Words = [String: ConsentWord]

    /// What a person has said, and where the ledgers of the person's profiles were before it was read.
    struct Person: Sendable {
        let id: ProfileID
        let words: Words
        fileprivate let positions: [(shard: Int, position: Int64)]
        fileprivate let readAt: ContinuousClock.Instant
    }

    /// Everybody of a number of names.
    struct Found: Sendable {
        fileprivate(set) var byName: [Identifier: Person] = [:]
        fileprivate(set) var byID: [ProfileID: Person] = [:]

        /// What everybody whom an event names has said, each person once.
        func words(for question: EventQuestion) -> [Words] {
            var people: [Person] = []
            for name in question.names {
                if let person = byName[name], !people.contains(where: { $0.id == person.id }) {
                    people.append(person)
                }
            }
            if let id = question.profileID, let person = byID[id],
                !people.contains(where: { $0.id == person.id })
            {
                people.append(person)
            }
            return people.map(\.words)
        }
    }

    private struct Memory {
        var people: [Identifier: Person] = [:]
        /// Whether the ledgers' positions can be asked for; once they can, they can for ever.
        var hasHeads = false
    }

    /// How old who is behind a name may be.
    private static let age = Duration.seconds(1)

    private let profiles: ProfileStore
    /// How many names are remembered.
    private let capacity: Int
    private let memory = Mutex(Memory())

    init(profiles: ProfileStore, capacity: Int = 100_000) {
        (self.profiles, self.capacity) = (profiles, capacity)
    }

    /// What is known of everybody whom the questions name, as of this transaction.
    func people(
        for questions: some Sequence<EventQuestion>, in transaction: PostgresTransaction
    ) async throws -> Found {
        var (names, ids) = (Set<Identifier>(), Set<ProfileID>())
        for question in questions {
            names.formUnion(question.names)
            if let id = question.profileID { ids.insert(id) }
        }
        // Before anything is read of people: what moves on in between makes what was read seem older than it is.
        let heads = try await heads(in: transaction)
        var found = Found()
        var unknown: Set<Identifier> = []
        let now = ContinuousClock.now
        memory.withLock { memory in
            for name in names {
                if let heads, let person = memory.people[name], now - person.readAt < Self.age,
                    person.positions.allSatisfy({ heads[$0.shard] == $0.position })
                {
                    found.byName[name] = person
                } else {
                    unknown.insert(name)
                }
            }
        }
        guard !unknown.isEmpty || !ids.isEmpty else { return found }
        let owners = try await profiles.owners(of: unknown, in: transaction)
        let read = try await read(ids.union(owners.values), heads, at: now, in: transaction)
        for (name, owner) in owners { found.byName[name] = read[owner] }
        for id in ids { found.byID[id] = read[id] }
        if heads != nil { remember(owners.compactMapValues { read[$0] }) }
        return found
    }

    private func read(
        _ ids: Set<ProfileID>, _ heads: [Int64]?, at now: ContinuousClock.Instant,
        in transaction: PostgresTransaction
    ) async throws -> [ProfileID: Person] {
        let people = try await profiles.people(Array(ids), in: transaction)
        let consents = try await profiles.consents(of: people.values, in: transaction)
        return people.mapValues { person in
            let shards = heads == nil ? [] : Set(person.memberIDs.map { Int(Shard($0).number) })
            return Person(
                id: person.profileID,
                words: (consents[person.profileID] ?? [:]).mapValues { ConsentWord($0.state, at: $0.at) },
                positions: shards.map { ($0, heads?[$0] ?? 0) }, readAt: now)
        }
    }

    private func remember(_ people: [Identifier: Person]) {
        memory.withLock { memory in
            if memory.people.count + people.count > capacity {
                memory.people.removeAll(keepingCapacity: true)
            }
            memory.people.merge(people.prefix(capacity).map { ($0.key, $0.value) }) { $1 }
        }
    }

    /// Where the ledger of each shard is; nil with a consent service from before it said so.
    private func heads(in transaction: PostgresTransaction) async throws -> [Int64]? {
        if !memory.withLock({ $0.hasHeads }) {
            let found = try await transaction.query(
                "SELECT to_regclass('profiles.consent_head') IS NOT NULL AS found")
            guard try found.first?.get("found", as: Bool.self) ?? false else { return nil }
            memory.withLock { $0.hasHeads = true }
        }
        var heads = [Int64](repeating: 0, count: Shard.count)
        for row in try await transaction.query("SELECT shard, position FROM profiles.consent_head") {
            heads[try row.get("shard", as: Int.self)] = try row.get("position")
        }
        return heads
    }
}
