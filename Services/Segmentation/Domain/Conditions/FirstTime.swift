import Models

/// When something happened for the first time ever: `{"first": {"event": "Order Completed", "within": "30d"}}`.
///
/// It does not hold for who never did it. A first time that is learned of late takes the place of the one before.
package struct FirstTime: OneTimeOperator {
    package static let key = "first"
    package let events: EventSelector
    package let test: TimeTest

    init(_ field: RuleField) throws(RuleProblem) { (events, test) = try Self.read(field) }

    static func isBetter(_ occurrence: Occurrence, than known: Occurrence) -> Bool { occurrence < known }
}
