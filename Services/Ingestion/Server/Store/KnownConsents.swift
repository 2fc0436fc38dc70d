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
    final class Entry: Sendable {
        let id: ProfileID
        let words: Words
        private let positions: [(shard: Int, position: Int64)]
        private let readAt: ContinuousClock.Instant

        init(
            id: ProfileID, members: Set<ProfileID>, _ words: Words, heads: [Int64]?,
            at instant: ContinuousClock.Instant
        ) {
            self.id = id
            self.words = words
            positions =
                heads.map { heads in
                    Set(members.map { Int(Shard($0).number) }).map { ($0, heads[$0]) }
                } ?? []
            readAt = instant
        }

        convenience init(
            _ person: ProfileStore.SayingByName.Person, heads: [Int64]?, at instant: ContinuousClock.Instant
        ) {
            self.init(
                id: person.profileID, members: person.memberIDs,
                person.said.mapValues { ConsentWord($0.state, at: $0.at) }, heads: heads, at: instant)
        }

        /// Whether it is young enough for what a name leads to.
        func isRecent(at instant: ContinuousClock.Instant) -> Bool { instant - readAt < KnownConsents.age }

        /// Whether nothing has been said since it was read.
        func stands(_ heads: [Int64]) -> Bool { positions.allSatisfy { heads[$0.shard] == $0.position } }
    }

    /// Everybody of a number of names.
    struct Found: Sendable {
        fileprivate(set) var byName: [Identifier: Entry] = [:]
        fileprivate(set) var byID: [ProfileID: Entry] = [:]

        /// What everybody whom an event names has said, each person once.
        func words(for question: EventQuestion) -> [Words] {
            // Most name one.
            if question.names.count == 1, question.profileID == nil {
                return byName[question.names[0]].map { [$0.words] } ?? []
            }
            var people = question.names.compactMap { byName[$0] }
            if let id = question.profileID, let person = byID[id] { people.append(person) }
            var seen: Set<ProfileID> = []
            return people.filter { seen.insert($0.id).inserted }.map(\.words)
        }
    }

    private struct Memory {
        var people: [Identifier: Entry] = [:]
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
        let now = ContinuousClock.now
        let known: [Identifier: Entry] = memory.withLock { memory in
            var known: [Identifier: Entry] = [:]
            known.reserveCapacity(names.count)
            for name in names {
                if let entry = memory.people[name], entry.isRecent(at: now) { known[name] = entry }
            }
            return known
        }
        // The heads before anything is read of people: what moves on in between makes what was read seem older than it is.
        let asked = profiles.sayings(by: names.filter { known[$0] == nil })
        let heads: [Int64]?
        let rows: [PostgresRow]
        if try await hasHeads(in: transaction) {
            let answers = try await transaction.pipeline([Self.headsStatement, asked.statement])
            (heads, rows) = (try Self.heads(answers[0]), answers[1])
        } else {
            (heads, rows) = (nil, try await transaction.query(asked.statement))
        }
        var found = Found()
        let (people, merged) = try asked.people(rows)
        for (name, person) in people { found.byName[name] = Entry(person, heads: heads, at: now) }
        if heads != nil { remember(found.byName) }
        var others = merged
        for (name, entry) in known {
            if let heads, entry.stands(heads) { found.byName[name] = entry } else { others.insert(name) }
        }
        guard !others.isEmpty || !ids.isEmpty else { return found }
        let owners = try await profiles.owners(of: others, in: transaction)
        let read = try await read(ids.union(owners.values), heads, at: now, in: transaction)
        for (name, owner) in owners { found.byName[name] = read[owner] }
        for id in ids { found.byID[id] = read[id] }
        if heads != nil { remember(owners.compactMapValues { read[$0] }) }
        return found
    }

    private func read(
        _ ids: Set<ProfileID>, _ heads: [Int64]?, at now: ContinuousClock.Instant,
        in transaction: PostgresTransaction
    ) async throws -> [ProfileID: Entry] {
        let people = try await profiles.people(Array(ids), in: transaction)
        let consents = try await profiles.consents(of: people.values, in: transaction)
        return people.mapValues { person in
            Entry(
                id: person.profileID, members: Set(person.memberIDs),
                (consents[person.profileID] ?? [:]).mapValues { ConsentWord($0.state, at: $0.at) },
                heads: heads, at: now)
        }
    }

    private func remember(_ people: [Identifier: Entry]) {
        memory.withLock { memory in
            if memory.people.count + people.count > capacity {
                memory.people.removeAll(keepingCapacity: true)
            }
            memory.people.merge(people.prefix(capacity).map { ($0.key, $0.value) }) { $1 }
        }
    }

    /// Whether the consent service is one that says how far its ledgers have come.
    private func hasHeads(in transaction: PostgresTransaction) async throws -> Bool {
        if memory.withLock({ $0.hasHeads }) { return true }
        let rows = try await transaction.query(
            "SELECT to_regclass('profiles.consent_head') IS NOT NULL AS found")
        guard try rows.first?.get("found", as: Bool.self) ?? false else { return false }
        memory.withLock { $0.hasHeads = true }
        return true
    }

    private static let headsStatement: SQL = "SELECT shard, position FROM profiles.consent_head"

    /// Where the ledger of each shard is.
    private static func heads(_ rows: [PostgresRow]) throws -> [Int64] {
        var heads = [Int64](repeating: 0, count: Shard.count)
        for row in rows { heads[try row.get("shard", as: Int.self)] = try row.get("position") }
        return heads
    }
}
