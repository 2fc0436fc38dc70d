import Models

/// The smallest value of a property over a window, or ever if there is none:
/// `{"minimum": {"event": "Order Completed", "property": "total", "within": "365d", "lessThan": 5}}`.
///
/// Numbers and decimal strings count. It does not hold where there are no values.
package struct Minimum: ExtremeOperator {
    package static let key = "minimum"
    package let source: WindowedEvents
    package let property: PropertyPath
    package let range: AmountRange

    init(_ field: RuleField) throws(RuleProblem) { (source, property, range) = try Self.read(field) }

    static func reaches(_ value: Amount, _ other: Amount) -> Bool { value <= other }
}
