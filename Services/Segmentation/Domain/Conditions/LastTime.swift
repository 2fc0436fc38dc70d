import Models

/// When something happened last, so how long ago: `{"last": {"event": "Order Completed", "ago": {"atLeast": "30d"}}}`.
///
/// It does not hold for who never did it.
package struct LastTime: OneTimeOperator {
    package static let key = "last"
    package let events: EventSelector
    package let test: TimeTest

    init(_ field: RuleField) throws(RuleProblem) { (events, test) = try Self.read(field) }

    static func isBetter(_ occurrence: Occurrence, than known: Occurrence) -> Bool { known < occurrence }
}
