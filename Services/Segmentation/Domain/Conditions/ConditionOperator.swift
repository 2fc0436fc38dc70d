package import Models

/// What every kind of condition can do. A new kind is one file that conforms to `LeafOperator` (it looks at
/// events) or `GroupOperator` (it combines other conditions), and one case in `Condition`.
package protocol ConditionOperator: Hashable, Sendable {
    /// The member that names it in a rule: `{"count": {…}}`.
    static var key: String { get }
    /// The payload below the key, as it would be written.
    var json: JSON { get }
}

/// A condition that combines others.
package protocol GroupOperator: ConditionOperator {
    var conditions: [Condition] { get }
    /// A condition of this truth makes the whole that; if none has it, the whole is the opposite.
    var settles: (truth: Bool, whole: Bool) { get }
    /// The whole in words, given the words of each condition.
    func text(_ parts: [String]) -> String
}

extension GroupOperator {
    /// The truth of the whole, given the truth of each condition.
    func combine(_ truths: [Bool]) -> Bool {
        truths.contains(settles.truth) ? settles.whole : !settles.whole
    }
}

/// A condition about events or traits. It is a fold: events go into a memory, and truth at an instant is a
/// function of the memory.
package protocol LeafOperator: ConditionOperator {
    /// Which events it can change with.
    var interest: Interest { get }
    /// Takes in an event that happened at `instant`, while answers from `decided` on are needed; false if nothing
    /// changed. `instant` is not later than `decided`.
    func remember(_ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory)
        -> Bool
    /// Whether it holds at an instant that is not before the decided one.
    func holds(_ memory: Memory, at instant: Instant) -> Bool
    /// The next instant after this one at which its truth may change if nothing happens. It may name an instant at
    /// which nothing changes, but may not miss one at which something does.
    func nextChange(_ memory: Memory, after instant: Instant) -> Instant?
    /// The window that it looks at.
    var lookback: Window { get }
    /// What is kept of one profile where an exact answer would need events without a bound; nil where it is exact.
    var keeps: String? { get }
    /// The condition in words.
    var text: String { get }
    /// The truth at an instant with what it rests on.
    func explain(_ memory: Memory, at instant: Instant) -> Explanation
}

extension LeafOperator {
    package var lookback: Window { .ever }
}

/// Which events can change a condition; the rest need not be shown to it.
package enum Interest: Hashable, Sendable {
    /// Events of these kinds and names.
    case selectors([EventSelector])
    /// Identify calls that carry the trait.
    case trait(String)
    /// Events that carry an identifier of the type.
    case identifier(String)
    /// Events whose context has the member.
    case context(String)
    /// Group calls that carry the trait.
    case account(String)
    /// No events, but decisions about consent to a purpose.
    case consent(String)
    /// No events, but what is decided of something else.
    case references([Reference])
}
