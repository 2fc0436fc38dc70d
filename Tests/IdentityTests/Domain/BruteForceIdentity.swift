import IdentityDomain
import Models

/// Who is who, computed in the plainest way: everything from the start, people as sets of identifiers that are
/// searched one by one.
struct BruteForceIdentity {
    struct Person {
        /// In the order in which they became known.
        var identifiers: [Identifier] = []
        /// The profiles of the person, by the number of the event that made each.
        var profiles: [Int]
        /// The number of the profile that survives.
        var canonical: Int
        var isKnown: Bool { identifiers.contains { $0.kind == .userID } }
    }

    private(set) var people: [Person] = []
    /// For each event, the number of its profile after it was resolved; nil for one that adds nothing.
    private(set) var placements: [Int?] = []

    init(_ events: [TrackingEvent]) {
        var met: Set<[String]> = []
        for (number, event) in events.enumerated() {
            guard met.insert([event.sourceID.description, event.messageID]).inserted else {
                placements.append(nil)
                continue
            }
            resolve(Observation(event), number: number)
        }
    }

    private func index(of identifier: Identifier) -> Int? {
        people.firstIndex { $0.identifiers.contains(identifier) }
    }

    private mutating func resolve(_ observation: Observation, number: Int) {
        let first = observation.identifiers[0]
        var home: Int?
        if first.kind == .userID {
            home = index(of: first)
            if home == nil, let previous = observation.previousUserID { home = index(of: previous) }
            if home == nil {
                let weaker =
                    Array(observation.identifiers.dropFirst())
                    + [observation.previousAnonymousID].compactMap { $0 }
                home = weaker.compactMap { index(of: $0) }.first { !people[$0].isKnown }
            }
        } else {
            home = observation.identifiers.compactMap { index(of: $0) }.first
        }
        if home == nil {
            people.append(Person(profiles: [number], canonical: number))
        }
        var here = home ?? people.count - 1
        for identifier in observation.identifiers { here = join(identifier, here, explicitly: false) }
        if let previous = observation.previousUserID { here = join(previous, here, explicitly: true) }
        if let previous = observation.previousAnonymousID { here = join(previous, here, explicitly: false) }
        placements.append(people[here].canonical)
    }

    private mutating func join(_ identifier: Identifier, _ here: Int, explicitly: Bool) -> Int {
        guard let there = index(of: identifier) else {
            people[here].identifiers.append(identifier)
            return here
        }
        let (ours, theirs) = (people[here], people[there])
        if here == there || (!explicitly && ours.isKnown && theirs.isKnown) { return here }
        var canonical = min(ours.canonical, theirs.canonical)
        if ours.isKnown != theirs.isKnown { canonical = ours.isKnown ? ours.canonical : theirs.canonical }
        people[here] = Person(
            identifiers: ours.identifiers + theirs.identifiers, profiles: ours.profiles + theirs.profiles,
            canonical: canonical)
        people.remove(at: there)
        return there < here ? here - 1 : here
    }
}
