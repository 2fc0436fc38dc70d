import IdentityDomain
import Models

/// Something that changes who is who.
enum Act {
    case event(TrackingEvent)
    /// Takes back a merge, by its number among all that were made.
    case undo(Int)
    /// Lets the evidence make it again.
    case allow(Int)
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
    private var owners: [(identifier: Identifier, profile: Int)] = []
    private var profiles: [Int] = []

    init(_ events: [TrackingEvent]) { self.init(events.map { .event($0) }) }

    init(_ acts: [Act]) {
        var met: Set<[String]> = []
        for (number, act) in acts.enumerated() {
            switch act {
            case .event(let event):
                guard met.insert([event.sourceID.description, event.messageID]).inserted else {
                    placements.append(nil)
                    continue
                }
                resolve(Observation(event), number: number)
            case .undo(let merge):
                placements.append(nil)
                if edges.indices.contains(merge) { edges[merge].isUndone = true }
            case .allow(let merge):
                placements.append(nil)
                if edges.indices.contains(merge), edges[merge].isUndone { edges[merge].isAllowed = true }
            }
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

    private mutating func resolve(_ observation: Observation, number: Int) {
        let first = observation.identifiers[0]
        var home: Int?
        if first.kind == .userID {
            home = owner(of: first)
            if home == nil, let previous = observation.previousUserID { home = owner(of: previous) }
            if home == nil {
                let weaker =
                    Array(observation.identifiers.dropFirst())
                    + [observation.previousAnonymousID].compactMap { $0 }
                home = weaker.compactMap { owner(of: $0) }.first { !isKnown($0) }
            }
        } else {
            home = observation.identifiers.compactMap { owner(of: $0) }.first
        }
        if home == nil { profiles.append(number) }
        let here = home ?? number
        for identifier in observation.identifiers { join(identifier, here, explicitly: false) }
        if let previous = observation.previousUserID { join(previous, here, explicitly: true) }
        if let previous = observation.previousAnonymousID { join(previous, here, explicitly: false) }
        placements.append(canonical(of: here))
    }

    private mutating func join(_ identifier: Identifier, _ here: Int, explicitly: Bool) {
        guard let there = owner(of: identifier) else {
            owners.append((identifier, here))
            return
        }
        let (ours, theirs) = (person(of: here), person(of: there))
        if ours == theirs || (!explicitly && isKnown(here) && isKnown(there)) { return }
        for index in edges.indices where edges[index].isUndone && !edges[index].isAllowed {
            let (one, other) = (edges[index].stays, edges[index].goes)
            if ours.contains(one) && theirs.contains(other) || ours.contains(other) && theirs.contains(one) {
                edges[index].suppressed += 1
                return
            }
        }
        let isOursFirst =
            isKnown(here) != isKnown(there) ? isKnown(here) : canonical(of: here) < canonical(of: there)
        edges.append(isOursFirst ? Edge(stays: here, goes: there) : Edge(stays: there, goes: here))
    }
}
