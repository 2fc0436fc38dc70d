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
/// acknowledgement. Where anybody's has, it is asked as well who is the same person as whom. What a name leads to is a second
/// old at most, as the policy is; nobody is remembered to be unknown.
final class KnownConsents: Sendable {
    typealias Words = [String: ConsentWord]
    typealias Name = EventQuestion.Name

    /// What a person has said, and where the ledgers of the person's profiles were before it was read.
    final class Entry: Sendable {
        let id: ProfileID
        let words: Words
        let members: Set<ProfileID>
        private let positions: [(shard: Int, position: Int64)]
        /// What moves on with each change of anybody.
        private let version: Int64
        private let readAt: ContinuousClock.Instant

        init(
            id: ProfileID, members: Set<ProfileID>, _ words: Words, heads: Heads?,
            at instant: ContinuousClock.Instant
        ) {
            (self.id, self.members, self.words) = (id, members, words)
            positions =
                heads.map { heads in
                    Set(members.map { Int(Shard($0).number) }).map { ($0, heads.positions[$0]) }
                } ?? []
            version = heads?.version ?? -1
            readAt = instant
        }

        convenience init(
            _ person: ProfileStore.SayingByName.Person, heads: Heads?, at instant: ContinuousClock.Instant
        ) {
            self.init(
                id: person.profileID, members: person.memberIDs,
                person.said.mapValues { ConsentWord($0.state, at: $0.at) }, heads: heads, at: instant)
        }

        /// The same, found to be true once more.
        convenience init(_ other: Entry, heads: Heads) {
            self.init(id: other.id, members: other.members, other.words, heads: heads, at: other.readAt)
        }

        /// Whether it is young enough for what a name leads to.
        func isRecent(at instant: ContinuousClock.Instant) -> Bool { instant - readAt < KnownConsents.age }

        enum Standing {
            /// Nobody has said anything since it was read.
            case stands
            /// None of these has, but somebody whom they may have been joined with.
            case standsAlone
            case hasMoved
        }

        func standing(_ heads: Heads) -> Standing {
            if heads.version == version { return .stands }
            return positions.allSatisfy { heads.positions[$0.shard] == $0.position }
                ? .standsAlone : .hasMoved
        }
    }

    /// How far what stands has moved on, by the shards.
    struct Heads: Sendable {
        var positions = [Int64](repeating: 0, count: Shard.count)
        /// It only ever grows, as each of them does.
        var version: Int64 = 0
    }

    /// Everybody of a number of names.
    struct Found: Sendable {
        fileprivate(set) var byName: [Name: Entry] = [:]
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
        var people: [Name: Entry] = [:]
        /// When those that are too old were let go of.
        var sweptAt = ContinuousClock.now
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
        var (names, ids) = (Set<Name>(), Set<ProfileID>())
        for question in questions {
            names.formUnion(question.names)
            if let id = question.profileID { ids.insert(id) }
        }
        let now = ContinuousClock.now
        let known: [Name: Entry] = memory.withLock { memory in
            var known: [Name: Entry] = [:]
            known.reserveCapacity(names.count)
            for name in names {
                if let entry = memory.people[name], entry.isRecent(at: now) { known[name] = entry }
            }
            return known
        }
        let asked = profiles.sayings(by: names.filter { known[$0] == nil }.map(\.identifier))
        guard try await hasHeads(in: transaction) else {
            var found = Found()
            let (people, merged) = try asked.people(try await transaction.query(asked.statement))
            for (name, person) in people { found.byName[Name(name)] = Entry(person, heads: nil, at: now) }
            try await self.read(Array(merged), ids, nil, at: now, into: &found, in: transaction)
            return found
        }
        // The heads before anything is read of people: what moves on in between makes what was read seem older than it is.
        let answers = try await transaction.pipeline([Self.headsStatement, asked.statement])
        let heads = try Self.heads(answers[0])
        var found = Found()
        var (others, merged) = ([Name: Entry](), [Identifier]())
        let read = try asked.people(answers[1])
        for (name, person) in read.found { found.byName[Name(name)] = Entry(person, heads: heads, at: now) }
        merged += read.merged
        for (name, entry) in known {
            switch entry.standing(heads) {
            case .stands: found.byName[name] = entry
            case .standsAlone: others[name] = entry
            case .hasMoved: merged.append(name.identifier)
            }
        }
        for (name, isSame) in try await areSame(others, in: transaction) {
            guard let entry = others[name] else { continue }
            if isSame {
                found.byName[name] = Entry(entry, heads: heads)
            } else {
                merged.append(name.identifier)
            }
        }
        try await self.read(merged, ids, heads, at: now, into: &found, in: transaction)
        remember(found.byName, at: now)
        return found
    }

    /// Whether the people are who they were.
    private func areSame(
        _ entries: [Name: Entry], in transaction: PostgresTransaction
    ) async throws -> [Name: Bool] {
        let people = try await profiles.people(Array(Set(entries.values.map(\.id))), in: transaction)
        return entries.mapValues { entry in
            people[entry.id].map { $0.profileID == entry.id && Set($0.memberIDs) == entry.members } ?? false
        }
    }

    private func read(
        _ names: [Identifier], _ ids: Set<ProfileID>, _ heads: Heads?, at now: ContinuousClock.Instant,
        into found: inout Found, in transaction: PostgresTransaction
    ) async throws {
        guard !names.isEmpty || !ids.isEmpty else { return }
        let owners = try await profiles.owners(of: Set(names), in: transaction)
        let read = try await read(ids.union(owners.values), heads, at: now, in: transaction)
        for (name, owner) in owners { found.byName[Name(name)] = read[owner] }
        for id in ids { found.byID[id] = read[id] }
    }

    private func read(
        _ ids: Set<ProfileID>, _ heads: Heads?, at now: ContinuousClock.Instant,
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

    private func remember(_ people: [Name: Entry], at now: ContinuousClock.Instant) {
        memory.withLock { memory in
            // What is too old is of no use, and nobody's name is kept for longer than it is.
            if now - memory.sweptAt >= Self.age {
                memory.people = memory.people.filter { $0.value.isRecent(at: now) }
                memory.sweptAt = now
            }
            guard memory.people.count + people.count <= capacity else { return }
            memory.people.merge(people) { $1 }
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

    private static func heads(_ rows: [PostgresRow]) throws -> Heads {
        var heads = Heads()
        for row in rows {
            let position: Int64 = try row.get("position")
            heads.positions[try row.get("shard", as: Int.self)] = position
            heads.version += position
        }
        return heads
    }
}
