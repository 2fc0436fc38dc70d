package import Models

/// Where one profile stands in one segment.
package struct SegmentState: Hashable, Sendable {
    /// The version of the rule that decided it.
    package var version: Int
    /// Since when the profile is a member; nil if it is none.
    package var memberSince: Instant?
    /// When the membership changes next if nothing happens.
    package var deadline: Instant?
    /// The instant from which on this rule decides for this profile: later than its facts for a rule that was
    /// written after them. Nothing is decided for instants before it.
    package var decidesFrom: Instant

    package var isMember: Bool { memberSince != nil }
}

/// The same in a state, which says by its layout what it is of; one that is like `nothing` is left out there.
struct Standing: Hashable, Sendable {
    var place: Int32
    private var since: Int64 = Self.none
    private(set) var due: Int64 = Self.never
    private var from: Int64 = Self.none

    /// Nothing that has a text form is as early.
    private static let none = Int64.min
    /// Nothing that has a text form is as late.
    static let never = Int64.max

    /// Of a profile that has done nothing.
    init(place: Int) { self.place = Int32(truncatingIfNeeded: place) }

    var memberSince: Instant? {
        get { since == Self.none ? nil : Instant(milliseconds: since) }
        set { since = newValue?.milliseconds ?? Self.none }
    }
    var deadline: Instant? {
        get { due == Self.never ? nil : Instant(milliseconds: due) }
        set { due = newValue?.milliseconds ?? Self.never }
    }
    var decidesFrom: Instant {
        get { from == Self.none ? .distantPast : Instant(milliseconds: from) }
        set { from = newValue == .distantPast ? Self.none : newValue.milliseconds }
    }

    var isNothing: Bool { since == Self.none && due == Self.never && from == Self.none }
}
