package import Models

/// Which events a condition is about: a kind, names, and filters that must all pass.
///
/// Written as members of a condition: `"event": "Order Completed"` (one name, a list of names, or `"*"` for any),
/// `"type"` (`track` unless said otherwise), and `"where"`, a list of filters.
package struct EventSelector: Hashable, Sendable {
    package static let keys = ["event", "type", "where"]

    package let kind: TrackingEvent.Kind
    /// The names that count; nil for any.
    package let names: [String]?
    package let filters: [PropertyFilter]
    /// Whether a filter compares with the present, so that an event is meant at some times only.
    package let isTimed: Bool

    package init(_ field: RuleField) throws(RuleProblem) {
        kind = try Self.kind(field.optional("type"))
        if kind == .track || field.optional("event") != nil {
            names = try Self.names(field.required("event", "the name of an event, a list of names, or \"*\""))
        } else {
            names = nil
        }
        filters = try PropertyFilter.list(field.optional("where"))
        isTimed = filters.contains { $0.isTimed }
    }

    /// Whether an event is one of those meant, of a selector that is not timed.
    package func matches(_ event: TrackingEvent) -> Bool {
        names(event) && filters.allSatisfy { $0.holds(for: event.properties) }
    }

    /// When an event is one of those meant; nil if it never is.
    package func spans(of event: TrackingEvent) -> Spans? {
        guard isTimed else { return matches(event) ? .always : nil }
        guard names(event) else { return nil }
        let spans = PropertyFilter.spans(of: filters, in: event.properties)
        return spans.isNever ? nil : spans
    }

    private func names(_ event: TrackingEvent) -> Bool {
        guard event.kind == kind else { return false }
        guard let names else { return true }
        guard let name = event.name else { return false }
        return names.contains(name)
    }

    /// The members that say this.
    package var members: [String: JSON] {
        var members: [String: JSON] = [:]
        if kind != .track { members["type"] = .string(kind.rawValue) }
        if let names {
            members["event"] =
                names.count == 1 && names[0] != "*" ? .string(names[0]) : .array(names.map { .string($0) })
        } else if kind == .track {
            members["event"] = "*"
        }
        if !filters.isEmpty { members["where"] = .array(filters.map(\.json)) }
        return members
    }

    /// The events in words, with their filters: `"Product Viewed" where category = "Shoes"`.
    package var text: String { name + filterText }

    /// The names in words: `"Product Viewed" or "Product Added"`, `any event`, `page "Home"`.
    package var name: String {
        let noun = kind == .track ? "event" : kind.rawValue
        guard let names else { return "any \(noun)" }
        let list = names.map { JSON.string($0).compact }.joined(separator: " or ")
        return kind == .track ? list : "\(noun) \(list)"
    }

    /// The filters in words, with a space before them: ` where category = "Shoes" and price > 10`.
    package var filterText: String {
        filters.isEmpty ? "" : " where \(filters.map(\.text).joined(separator: " and "))"
    }

    private static func kind(_ field: RuleField?) throws(RuleProblem) -> TrackingEvent.Kind {
        guard let field else { return .track }
        let known: [TrackingEvent.Kind] = [.track, .page, .screen, .identify, .group]
        guard let kind = field.json.string.flatMap({ TrackingEvent.Kind(rawValue: $0) }), known.contains(kind)
        else { throw field.problem("one of \(known.map(\.rawValue).joined(separator: ", "))") }
        return kind
    }

    private static func names(_ field: RuleField) throws(RuleProblem) -> [String]? {
        if field.json.array == nil {
            let name = try field.text("the name of an event")
            return name == "*" ? nil : [name]
        }
        var names: [String] = []
        for element in try field.elements(1...RuleLimits.eventNames, of: "event names") {
            names.append(try element.text("the name of an event"))
        }
        return names
    }
}
