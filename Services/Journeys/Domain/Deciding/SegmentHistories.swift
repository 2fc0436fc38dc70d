package import Models

/// Which segments the two people whose merge was undone would have entered and left while they were taken for one.
package struct SegmentHistories: Sendable {
    private let histories: [ProfileID: MembershipHistory]
    /// From when on they tell.
    private let since: Instant

    /// The histories of the two.
    package init(_ histories: [MembershipHistory]) {
        self.histories = Dictionary(histories.map { ($0.profileID, $0) }, uniquingKeysWith: { $1 })
        since = histories.map(\.since).max() ?? .distantFuture
    }

    /// Whether they say all there is to say about the changes of a segment by this version of its rule at an instant. Of
    /// other rules, and of what was before the two were merged, nothing but what happened is known.
    package func tell(of segment: String, version: Int, at instant: Instant) -> Bool {
        instant >= since && !histories.isEmpty
            && histories.values.allSatisfy { $0.versions[segment] == version }
    }

    /// Whether they tell of a profile.
    package func tell(of profile: ProfileID) -> Bool { histories[profile] != nil }

    /// What the profile would have been told.
    package func changes(of profile: ProfileID) -> [MembershipChange] {
        (histories[profile]?.changes ?? []).filter {
            tell(of: $0.segment, version: $0.version, at: $0.at)
        }
    }

    /// Whose passage it is that began with an entry: of whoever would have made it. `presumed` has it where both would
    /// have, or nobody, and where the histories don't tell.
    package func owner(
        of passage: InstanceState, among people: [ProfileID], presumed: ProfileID
    ) -> ProfileID {
        guard let segment = passage.trigger["segment"]?.string,
            tell(of: segment, version: passage.triggerVersion, at: passage.enteredAt)
        else { return presumed }
        let others = people.filter { $0 != presumed }
        return ([presumed] + others).first { person in
            changes(of: person).contains { JourneyFact(.segment($0)).triggerKey == passage.triggerKey }
        } ?? presumed
    }
}

extension InstanceState {
    /// The version of the segment's rule that it began with.
    package var triggerVersion: Int { Int(trigger["version"]?.integer ?? 1) }
}
