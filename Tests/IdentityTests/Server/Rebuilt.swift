import IdentityDomain
import Models
import Postgres

/// What a journal comes to, one act after the other.
struct Rebuilt {
    /// A merge as it is stored, and what it joins as things stand.
    struct Edge: Hashable {
        var survivorMember: ProfileID
        var mergedMember: ProfileID
        /// Of one that stands, the canonical profiles that it joined.
        var joined: [ProfileID]
        var isUndone: Bool
        var isAllowed: Bool
    }

    private(set) var people: BruteForceIdentity
    private var ids: [Int: ProfileID] = [:]
    private var told: [(event: TrackingEvent, home: Int)] = []

    init(_ acts: [Journal.Act]) throws {
        people = BruteForceIdentity([TrackingEvent]())
        var numbers: [ProfileID: Int] = [:]
        for act in acts {
            switch act {
            case .batch(let events):
                // Of a message that is twice in a batch the second one says nothing.
                var met: Set<String> = []
                for event in events where met.insert(event.messageID).inserted {
                    let number = people.placements.count
                    people.take(.event(event))
                    guard let home = people.homes[number] else { throw JournalError.notUnderstood }
                    told.append((event, home))
                    guard home == number else { continue }
                    let id = ProfileID(
                        UUIDv7.derived(
                            at: event.receivedAt, from: "profile", event.sourceID.description,
                            event.messageID))
                    ids[number] = id
                    numbers[id] = number
                }
            case .join(let left, let right):
                guard let left = numbers[left], let right = numbers[right] else {
                    throw JournalError.notUnderstood
                }
                people.take(.join(left, right))
            case .undo(let stays, let goes):
                let standing = people.edges.firstIndex {
                    $0.stays == numbers[stays] && $0.goes == numbers[goes] && !$0.isUndone
                }
                guard let standing else { throw JournalError.notUnderstood }
                people.take(.undo(standing))
            case .allow(let stays, let goes):
                let undone = people.edges.firstIndex {
                    $0.stays == numbers[stays] && $0.goes == numbers[goes] && $0.isUndone && !$0.isAllowed
                }
                guard let undone else { throw JournalError.notUnderstood }
                people.take(.allow(undone))
            }
        }
    }

    func id(_ number: Int) -> ProfileID {
        ids[number] ?? ProfileID(UUIDv7.derived(at: start, from: "nobody"))
    }

    /// The canonical profile of each.
    var canonical: [ProfileID: ProfileID] {
        var canonical: [ProfileID: ProfileID] = [:]
        for person in people.people {
            for profile in person.profiles { canonical[id(profile)] = id(person.canonical) }
        }
        return canonical
    }

    var owners: [Identifier: ProfileID] {
        var owners: [Identifier: ProfileID] = [:]
        for owner in people.owners { owners[owner.identifier] = id(owner.profile) }
        return owners
    }

    var edges: [Edge] {
        // Everybody has a label, which whoever joins takes over.
        var labels = Dictionary(uniqueKeysWithValues: ids.keys.map { ($0, $0) })
        return people.edges.map { edge in
            var joined: [ProfileID] = []
            if !edge.isUndone, let stays = labels[edge.stays], let goes = labels[edge.goes] {
                joined = [id(stays), id(goes)]
                for (profile, label) in labels where label == goes { labels[profile] = stays }
            }
            return Edge(
                survivorMember: id(edge.stays), mergedMember: id(edge.goes), joined: joined,
                isUndone: edge.isUndone, isAllowed: edge.isAllowed)
        }
    }

    /// What was said last of each trait under the profiles of a person; null where it was taken away.
    func traits(of person: BruteForceIdentity.Person) -> [String: JSON] {
        var traits: [String: JSON] = [:]
        let said = told.filter { $0.event.kind == .identify && person.profiles.contains($0.home) }.map(
            \.event)
        for event in said.sorted(by: Self.isEarlier) { traits.merge(event.traits) { $1 } }
        return traits
    }

    private static func isEarlier(_ one: TrackingEvent, _ other: TrackingEvent) -> Bool {
        one.timestamp != other.timestamp
            ? one.timestamp < other.timestamp
            : one.messageID.utf8.lexicographicallyPrecedes(other.messageID.utf8)
    }
}

extension Rebuilt.Edge {
    /// As the database has it.
    init(_ row: PostgresRow) throws {
        let isUndone = try row.get("undone_at", as: Instant?.self) != nil
        let joint = [try row.get("survivor_id", as: ProfileID.self), try row.get("merged_id")]
        self.init(
            survivorMember: try row.get("survivor_member"), mergedMember: try row.get("merged_member"),
            joined: isUndone ? [] : joint, isUndone: isUndone,
            isAllowed: try row.get("allowed_at", as: Instant?.self) != nil)
    }
}
