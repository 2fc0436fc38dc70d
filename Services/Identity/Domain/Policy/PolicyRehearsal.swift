package import Models

/// Goes through stored history with a changed policy, by the resolver that decides in production, and compares who is
/// one person: nothing is written.
///
/// Two people whose merge was undone, and not allowed again, are apart from the first event on: what had joined them
/// would be reported today and not applied, as later evidence is.
package struct PolicyRehearsal: Sendable {
    /// Somebody who would be who they are.
    package struct Stay: Hashable, Sendable {
        package var profileID: ProfileID
        /// Profiles that the person's events would arrive under.
        package var profiles: Int
    }

    /// A person who is one now and would be several.
    package struct Split: Hashable, Sendable {
        package var profileID: ProfileID
        package var parts: Int
    }

    /// What would come of the policy.
    package struct Report: Hashable, Sendable {
        package var events = 0
        package var peopleNow = 0
        package var peopleThen = 0
        package var staying = 0
        package var splitting = 0
        package var merging = 0
        package var withheld: [String: Int] = [:]
        package var stays: [Stay] = []
        package var splits: [Split] = []
        /// People who would be one.
        package var merges: [[ProfileID]] = []
    }

    private var resolver: Resolver
    private var events = 0
    private var withheld: [String: Int] = [:]
    /// By the person of now, the profiles that their events would arrive under.
    private var then: [ProfileID: Set<ProfileID>] = [:]
    /// By the profile that an event arrived under, one that it would arrive under.
    private var standIns: [ProfileID: ProfileID] = [:]
    /// By the person of now, those they were parted from, and the merge that was undone.
    private var opponents: [ProfileID: [ProfileID: MergeID]] = [:]
    private static let examples = 20

    /// `parted` are the people of now whose merge was undone and not allowed again, by their canonical profiles.
    package init(_ policy: IdentityPolicy, parted: [Separation] = []) {
        resolver = Resolver(Resolver.Snapshot(), policy: policy)
        for pair in parted {
            opponents[pair.left, default: [:]][pair.right] = pair.mergeID
            opponents[pair.right, default: [:]][pair.left] = pair.mergeID
        }
    }

    /// Takes in an event that arrived under a profile, of a person.
    package mutating func take(_ event: TrackingEvent, of person: ProfileID, arrivedUnder: ProfileID) {
        var event = event
        // Whom a service named by its profile is whoever that is then.
        if let named = event.profileID {
            guard let standIn = standIns[named] else { return }
            event.profileID = standIn
        }
        var observation = Observation(event, policy: resolver.policy)
        let others = self.others(than: person)
        if !others.isEmpty, observation.withhold(leadingTo: others, of: resolver) {
            observation.fallback = standIns[arrivedUnder]
        }
        guard let placement = try? resolver.resolve(event, as: observation) else { return }
        events += 1
        if then[person, default: []].insert(placement.arrivedUnder).inserted {
            part(person, placement.arrivedUnder)
        }
        if standIns[arrivedUnder] == nil { standIns[arrivedUnder] = placement.arrivedUnder }
        for case .withheld(_, _, _, _, let items) in resolver.facts {
            for reason in items.compactMap({ $0["reason"]?.string }) { withheld[reason, default: 0] += 1 }
        }
        resolver.forgetWhatIsToBeWritten()
    }

    /// Those whom nothing that is said of the person may lead to: by a new kind of identifier, say, which the resolver
    /// can't tell to be of somebody else while the person has nothing else.
    private func others(than person: ProfileID) -> Set<ProfileID> {
        guard let opponents = opponents[person] else { return [] }
        return Set(opponents.keys.flatMap { then[$0] ?? [] }.map { resolver.root(of: $0) })
    }

    /// Keeps a profile that stands in for somebody apart from all that stand in for those they were parted from.
    private mutating func part(_ person: ProfileID, _ standIn: ProfileID) {
        for (opponent, mergeID) in opponents[person] ?? [:] {
            for other in then[opponent] ?? [] {
                resolver.keepApart(Separation(mergeID: mergeID, left: standIn, right: other))
            }
        }
    }

    /// What an operator or a rule has joined stays joined.
    package mutating func join(_ left: ProfileID, _ right: ProfileID, by id: MergeID, at instant: Instant) {
        guard let left = standIns[left], let right = standIns[right] else { return }
        _ = try? resolver.merge(
            left, with: right, because: MergeOrder(id: id, cause: [:], at: instant, isExplicit: true))
        resolver.forgetWhatIsToBeWritten()
    }

    package var report: Report {
        var now: [ProfileID: Set<ProfileID>] = [:]
        var report = Report()
        report.events = events
        report.withheld = withheld
        report.peopleNow = then.count
        var parts: [ProfileID: Set<ProfileID>] = [:]
        for (person, profiles) in then {
            let roots = Set(profiles.map { resolver.root(of: $0) })
            parts[person] = roots
            for root in roots { now[root, default: []].insert(person) }
        }
        report.peopleThen = now.count
        let joined = now.values.filter { $0.count > 1 }
        report.merging = Set(joined.flatMap { $0 }).count
        report.splitting = parts.values.count { $0.count > 1 }
        let stays = parts.filter { person, roots in
            roots.count == 1 && roots.allSatisfy { now[$0] == [person] }
        }
        report.staying = stays.count
        report.stays = stays.keys.map { Stay(profileID: $0, profiles: then[$0]?.count ?? 0) }
            .sorted { $0.profiles != $1.profiles ? $0.profiles > $1.profiles : $0.profileID < $1.profileID }
            .prefix(Self.examples).map { $0 }
        report.splits = parts.filter { $0.value.count > 1 }
            .map { Split(profileID: $0.key, parts: $0.value.count) }
            .sorted { $0.parts != $1.parts ? $0.parts > $1.parts : $0.profileID < $1.profileID }
            .prefix(Self.examples).map { $0 }
        report.merges = joined.map { $0.sorted() }
            .sorted { $0.count != $1.count ? $0.count > $1.count : $0[0] < $1[0] }
            .prefix(Self.examples).map { $0 }
        return report
    }
}
