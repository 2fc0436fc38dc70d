import Models

/// The greatest value of a property over a window, or ever if there is none:
/// `{"maximum": {"event": "Order Completed", "property": "total", "within": "365d", "atLeast": 500}}`.
///
/// Numbers and decimal strings count. It does not hold where there are no values.
package struct Maximum: ExtremeOperator {
    package static let key = "maximum"
    package let source: WindowedEvents
    package let property: PropertyPath
    package let range: AmountRange

    init(_ field: RuleField) throws(RuleProblem) { (source, property, range) = try Self.read(field) }

    static func reaches(_ value: Amount, _ other: Amount) -> Bool { value >= other }
}
