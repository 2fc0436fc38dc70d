/// What follows from the pairs that were found: which people are merged, in which order, and of which somebody is asked.
///
/// People are joined best pair first, like a spanning forest (Kruskal 1956): each edge names the pair that is its evidence,
/// and of a person with hundreds of profiles there is an edge less than there are profiles, not one for each pair. Three
/// things hold an edge back, also where it would join the two by way of others: somebody has said that they are two, both
/// have a `userId`, or what is known of the group as a whole speaks against it. Of two people who remain, one question is
/// asked, that of their most likely pair.
///
/// Records that are no profiles are joined in the same way, to profiles and by way of each other. Where a group is of
/// records alone, joining them would make a profile of people whom nobody has asked for: that is asked about.
package struct MatchPlan: Sendable {
    /// Why somebody is asked although the pair is likely enough.
    package enum Doubt: String, CaseIterable, Sendable {
        /// Each has a `userId`.
        case bothKnown
        /// The pairs around it say that they are two.
        case contradicted
        /// Both are records, and neither is anybody's whom there is a profile of.
        case noProfile
        /// A record has an identifier that leads to somebody else.
        case elsewhere
    }

    /// One thing to do.
    package struct Step: Sendable, Hashable {
        package enum Kind: String, CaseIterable, Sendable { case merge, review }

        package let kind: Kind
        package let doubt: Doubt?
        /// The records of the pair, the earlier one first, and its weight.
        package let a: Int
        package let b: Int
        package let weight: Double

        package var probability: Double { Logarithm.probability(ofWeight: weight) }
    }

    /// What is known of the records beside what was compared, by their places.
    package struct Circumstances: Sendable {
        /// Who has a `userId`.
        package var known: [Bool]
        /// Pairs of which somebody has said that they are two people.
        package var rejected: [(Int, Int)]
        /// Pairs whose merge was undone.
        package var separated: [(Int, Int)]
        /// How many are profiles; those behind them are records.
        package var profiles: Int

        package init(
            known: [Bool], rejected: [(Int, Int)] = [], separated: [(Int, Int)] = [], profiles: Int? = nil
        ) {
            self.known = known
            self.rejected = rejected
            self.separated = separated
            self.profiles = profiles ?? known.count
        }
    }

    /// Merges first, the most likely first; those of records in an order in which there is a profile to join.
    package let steps: [Step]
    /// Pairs of people that were passed over because somebody has said that they are two.
    package let passedOver: Int

    /// - Parameters:
    ///   - proposals: the most likely first.
    ///   - groups: for each record the least place of its group.
    ///   - automatic: whether anybody is merged without being asked about.
    package init(
        _ proposals: [MatchProposal], groups: [Int], _ circumstances: Circumstances, automatic: Bool = true
    ) {
        var people = People(circumstances)
        var merges: [Step] = []
        var rest: [(pair: MatchProposal, doubt: Doubt?, isReport: Bool)] = []
        for pair in proposals {
            guard automatic, pair.verdict == .merge else {
                rest.append((pair, nil, false))
                continue
            }
            guard people.root(pair.a) != people.root(pair.b) else { continue }
            if people.areApart(pair.a, pair.b, in: \.separated) {
                // Whoever carries it out is told that it was undone, and reports it there.
                rest.append((pair, nil, true))
            } else if groups[pair.a] != groups[pair.b] {
                rest.append((pair, .contradicted, false))
            } else if people.isKnown(pair.a), people.isKnown(pair.b) {
                rest.append((pair, .bothKnown, false))
            } else if people.areApart(pair.a, pair.b, in: \.rejected) {
                rest.append((pair, nil, false))
            } else {
                people.join(pair.a, pair.b)
                merges.append(Step(kind: .merge, doubt: nil, pair))
            }
        }
        var asked: Set<Couple> = []
        var passedOver = 0
        var reports: [Step] = []
        var reviews: [Step] = []
        let joined = Self.anchored(merges, profiles: circumstances.profiles)
        for step in joined.floating {
            reviews.append(Step(kind: .review, doubt: .noProfile, a: step.a, b: step.b, weight: step.weight))
        }
        for (pair, doubt, isReport) in rest {
            let couple = Couple(people.root(pair.a), people.root(pair.b))
            guard couple.first != couple.second, asked.insert(couple).inserted else { continue }
            if people.areApart(pair.a, pair.b, in: \.separated) {
                if isReport { reports.append(Step(kind: .merge, doubt: nil, pair)) }
            } else if people.areApart(pair.a, pair.b, in: \.rejected) {
                passedOver += 1
            } else {
                reviews.append(Step(kind: .review, doubt: doubt, pair))
            }
        }
        reviews.sort { ($0.weight, $1.a, $1.b) > ($1.weight, $0.a, $0.b) }
        steps = joined.anchored + reports + reviews
        self.passedOver = passedOver
    }

    /// Merges of profiles as they were, then each that joins a record to what is joined to a profile, from there on; and
    /// those of records alone.
    private static func anchored(
        _ merges: [Step], profiles: Int
    ) -> (anchored: [Step], floating: [Step]) {
        var anchored = merges.filter { $0.b < profiles }
        guard anchored.count < merges.count else { return (anchored, []) }
        var next: [Step] = []
        var byRecord: [Int: [Step]] = [:]
        for step in merges where step.b >= profiles {
            if step.a < profiles {
                next.append(step)
            } else {
                byRecord[step.a, default: []].append(step)
                byRecord[step.b, default: []].append(step)
            }
        }
        var reached: Set<Int> = []
        var place = 0
        while place < next.count {
            let step = next[place]
            place += 1
            for record in [step.a, step.b] where record >= profiles && reached.insert(record).inserted {
                next += (byRecord[record] ?? []).filter { !reached.contains($0.a == record ? $0.b : $0.a) }
            }
        }
        anchored += next
        return (anchored, merges.filter { $0.a >= profiles && !reached.contains($0.a) })
    }

    /// Two people, in either order.
    private struct Couple: Hashable {
        let first: Int
        let second: Int

        init(_ left: Int, _ right: Int) { (first, second) = (min(left, right), max(left, right)) }
    }

    /// Who is one person so far.
    private struct People {
        private var parents: [Int]
        private var known: [Bool]
        /// By person, the records that are not theirs.
        private(set) var rejected: [Int: [Int]] = [:]
        private(set) var separated: [Int: [Int]] = [:]

        init(_ circumstances: Circumstances) {
            known = circumstances.known
            parents = Array(known.indices)
            for (left, right) in circumstances.rejected {
                rejected[left, default: []].append(right)
                rejected[right, default: []].append(left)
            }
            for (left, right) in circumstances.separated {
                separated[left, default: []].append(right)
                separated[right, default: []].append(left)
            }
        }

        mutating func root(_ record: Int) -> Int {
            var at = record
            while parents[at] != at {
                parents[at] = parents[parents[at]]
                at = parents[at]
            }
            return at
        }

        mutating func isKnown(_ record: Int) -> Bool { known[root(record)] }

        mutating func areApart(_ left: Int, _ right: Int, in list: KeyPath<People, [Int: [Int]]>) -> Bool {
            let (left, right) = (root(left), root(right))
            guard let ours = self[keyPath: list][left], let theirs = self[keyPath: list][right] else {
                return false
            }
            let (fewer, other) = ours.count <= theirs.count ? (ours, right) : (theirs, left)
            for record in fewer where root(record) == other { return true }
            return false
        }

        mutating func join(_ left: Int, _ right: Int) {
            let (left, right) = (root(left), root(right))
            let (kept, gone) = (min(left, right), max(left, right))
            parents[gone] = kept
            known[kept] = known[kept] || known[gone]
            if let moved = rejected.removeValue(forKey: gone) { rejected[kept, default: []] += moved }
            if let moved = separated.removeValue(forKey: gone) { separated[kept, default: []] += moved }
        }
    }
}

extension MatchPlan.Step {
    fileprivate init(kind: Kind, doubt: MatchPlan.Doubt?, _ pair: MatchProposal) {
        self.init(kind: kind, doubt: doubt, a: pair.a, b: pair.b, weight: pair.weight)
    }
}
