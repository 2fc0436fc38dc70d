import Models

/// How large a rule may be; beyond these it is refused when it is written, not when it runs.
package enum RuleLimits {
    /// Conditions in one rule, groups included.
    package static let conditions = 500
    /// Conditions that a rule looks at together with those of the segments that it refers to.
    package static let referredConditions = 2_000
    /// How deep groups may nest.
    package static let depth = 20
    /// The longest window: ten years of 366 days, so that "10 years" is inside however it is counted.
    package static let window = Duration.days(3_660)
    /// The largest number of events that a count may ask for.
    package static let count = 1_000
    /// The most event names in one selector.
    package static let eventNames = 50
    /// The most filters on one event.
    package static let filters = 50
    /// How deep filters on elements of lists nest.
    package static let filterDepth = 3
    /// The most times at one place that are compared with the present.
    package static let times = 20
    /// The most values in `in` and `notIn`.
    package static let listedValues = 1_000
    /// The longest name or path, in characters.
    package static let nameLength = 200
    /// The most events that one condition keeps for one profile. Counts never reach it; a sum over more events
    /// than this counts the latest ones only.
    package static let occurrences = 10_000
    /// How many events all conditions together remember of one profile, an event counted once for each condition that
    /// remembers it. Beyond that the conditions that remember most forget their earliest.
    package static let remembered = 50_000
    /// The most steps of a sequence.
    package static let sequenceSteps = 5
    /// The most events of its steps among which a sequence is looked for, in one profile: the latest.
    package static let sequenceEvents = 1_000
    /// The most elements of an event's list that `products[]` looks at.
    package static let listElements = 1_000
}
