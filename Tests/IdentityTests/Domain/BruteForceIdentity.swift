import IdentityDomain
import Models

/// Something that changes who is who.
enum Act {
    case event(TrackingEvent)
    /// Takes back a merge, by its number among all that were made.
    case undo(Int)
    /// Lets the evidence make it again.
    case allow(Int)
    /// Joins the people of two profiles because an operator says so, by the numbers of the acts that made them.
    case join(Int, Int)
}

/// Who is who, computed in the plainest way: identifiers with the profile that each led to first, the edges between
/// profiles, and people as what is connected, searched anew each time.
struct BruteForceIdentity {
    struct Edge {
        /// The profile that the evidence names, of the side whose canonical profile stays.
        var stays: Int
        var goes: Int
        var isUndone = false
        var isAllowed = false
        /// How often it would have been made again.
        var suppressed = 0
    }

    struct Person {
        var identifiers: [Identifier]
        /// The profiles of the person, by the number of the event that made each.
        var profiles: [Int]
        /// The number of the profile that survives.
        var canonical: Int
        var isKnown: Bool { identifiers.contains { $0.kind == .userID } }
    }

    private(set) var edges: [Edge] = []
    /// For each act, the number of its profile after it was resolved; nil for one that adds nothing.
    private(set) var placements: [Int?] = []
    /// The profile itself that the act went to, whomever it was merged with.
    private(set) var homes: [Int?] = []
    private var makers: [Int: TrackingEvent] = [:]
    private(set) var owners: [(identifier: Identifier, profile: Int)] = []
    private var profiles: [Int] = []

    private let limits: [Identifier.Kind: Int]

    init(_ events: [TrackingEvent]) { self.init(events.map { .event($0) }) }

    /// `emails` is how many addresses a person may hold.
    init(_ acts: [Act], emails: Int = 5) {
        limits = [.userID: 1, .email: emails, .contact: 5]
        var met: Set<[String]> = []
        for act in acts {
            if case .event(let event) = act,
                !met.insert([event.sourceID.description, event.messageID]).inserted
            {
                placements.append(nil)
                homes.append(nil)
            } else {
                take(act)
            }
        }
    }

    /// Goes on by one act; a message that comes once more is read once more.
    mutating func take(_ act: Act) {
        if case .event(let event) = act { return resolve(event, number: placements.count) }
        placements.append(nil)
        homes.append(nil)
        switch act {
        case .event: break
        case .undo(let merge): if edges.indices.contains(merge) { edges[merge].isUndone = true }
        case .allow(let merge):
            if edges.indices.contains(merge), edges[merge].isUndone { edges[merge].isAllowed = true }
        case .join(let one, let other):
            let sides = [person(of: one), person(of: other)]
            guard sides[0] != sides[1] else { return }
            for index in edges.indices where edges[index].isUndone {
                if stands(edges[index], between: sides[0], and: sides[1]) { edges[index].isAllowed = true }
            }
            connect(one, other)
        }
    }

    var people: [Person] {
        Set(profiles.map { person(of: $0) }).map { members in
            Person(
                identifiers: owners.filter { members.contains($0.profile) }.map(\.identifier),
                profiles: members.sorted(), canonical: canonical(of: members.sorted()[0]))
        }
    }

    /// Everything that is connected with a profile.
    private func person(of profile: Int) -> Set<Int> {
        var members: Set<Int> = [profile]
        while true {
            var more = members
            for edge in edges where !edge.isUndone && !members.isDisjoint(with: [edge.stays, edge.goes]) {
                more.formUnion([edge.stays, edge.goes])
            }
            if more == members { return members }
            members = more
        }
    }

    /// Everybody carries the number of their canonical profile, and whoever joins takes over that of the other side.
    private func canonical(of profile: Int) -> Int {
        var labels = Dictionary(uniqueKeysWithValues: profiles.map { ($0, $0) })
        for edge in edges where !edge.isUndone {
            let (old, new) = (labels[edge.goes], labels[edge.stays])
            for (key, label) in labels where label == old { labels[key] = new }
        }
        return labels[profile] ?? profile
    }

    private func isKnown(_ profile: Int) -> Bool {
        let members = person(of: profile)
        return owners.contains { $0.identifier.kind == .userID && members.contains($0.profile) }
    }

    private func owner(of identifier: Identifier) -> Int? {
        owners.first { $0.identifier == identifier }?.profile
    }

    private func count(_ kind: Identifier.Kind, of people: [Set<Int>], and new: [Identifier]) -> Int {
        owners.count { owner in
            owner.identifier.kind == kind && people.contains { $0.contains(owner.profile) }
        }
            + new.count { $0.kind == kind }
    }

    private func isTooMuch(
        _ people: [Set<Int>], _ new: [Identifier], for kinds: [Identifier.Kind]
    ) -> Bool {
        kinds.contains { count($0, of: people, and: new) > limits[$0] ?? .max }
    }

    private mutating func resolve(_ event: TrackingEvent, number: Int) {
        let observation = Observation(event)
        var candidates = observation.identifiers
        if let previous = observation.previousUserID { candidates.insert(previous, at: 1) }
        if let previous = observation.previousAnonymousID { candidates.append(previous) }
        var taken: [Identifier] = []
        var people: [Set<Int>] = []
        var new: [Identifier] = []
        for candidate in candidates where !taken.contains(candidate) {
            let isExplicit =
                candidate == observation.previousUserID || observation.joined.contains(candidate)
            if let owner = owner(of: candidate) {
                let person = person(of: owner)
                if !people.contains(person) {
                    if isKeptApart(person, people) { continue }
                    let shared = limits.keys.filter { kind in
                        !(isExplicit && (kind == .userID || kind == candidate.kind))
                            && count(kind, of: [person], and: []) > 0
                            && count(kind, of: people, and: new) > 0
                    }
                    if isTooMuch(people + [person], new, for: shared) { continue }
                    people.append(person)
                }
            } else {
                if !isExplicit, isTooMuch(people, new + [candidate], for: [candidate.kind]) { continue }
                new.append(candidate)
            }
            taken.append(candidate)
        }
        let home = taken.compactMap { owner(of: $0) }.first
        if home == nil {
            profiles.append(number)
            makers[number] = event
        }
        for identifier in taken { join(identifier, home ?? number) }
        placements.append(canonical(of: home ?? number))
        homes.append(home ?? number)
    }

    /// Whether an undone merge stands between the person and one of the others; it is counted there.
    private mutating func isKeptApart(_ person: Set<Int>, _ others: [Set<Int>]) -> Bool {
        for other in others {
            for index in edges.indices where edges[index].isUndone && !edges[index].isAllowed {
                if stands(edges[index], between: person, and: other) {
                    edges[index].suppressed += 1
                    return true
                }
            }
        }
        return false
    }

    private func stands(_ edge: Edge, between one: Set<Int>, and other: Set<Int>) -> Bool {
        one.contains(edge.stays) && other.contains(edge.goes)
            || one.contains(edge.goes) && other.contains(edge.stays)
    }

    private mutating func join(_ identifier: Identifier, _ here: Int) {
        guard let there = owner(of: identifier) else {
            owners.append((identifier, here))
            return
        }
        if person(of: here) == person(of: there) { return }
        connect(here, there)
    }

    /// Whoever has a `userId` stays, else whoever was there first.
    private mutating func connect(_ here: Int, _ there: Int) {
        func age(_ profile: Int) -> Instant { makers[canonical(of: profile)]?.receivedAt ?? .distantFuture }
        let isOursFirst = isKnown(here) != isKnown(there) ? isKnown(here) : age(here) < age(there)
        edges.append(isOursFirst ? Edge(stays: here, goes: there) : Edge(stays: there, goes: here))
    }
}
