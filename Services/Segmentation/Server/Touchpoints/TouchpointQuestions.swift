import Models
import SegmentationDomain
import ServiceKit

/// What is asked about touchpoints, as callers write it.
enum TouchpointQuestions {
    static let type = "invalid-touchpoint-model"
    static let defaultHorizon: Duration = .hours(7 * 24)
    static let defaultLookback: Duration = .hours(30 * 24)
    static let defaultConversion: JSON = ["event": "Order Completed"]
    static let longest: Duration = .hours(366 * 24)

    /// The events that count as a conversion: a selector that means the same at all times.
    static func conversion(_ field: RuleField) throws(RuleProblem) -> EventSelector {
        try field.allow(EventSelector.keys)
        let selector = try EventSelector(field)
        guard !selector.isTimed else {
            throw RuleProblem(
                field.path.appending("where"), expected: "filters without times relative to the present")
        }
        return selector
    }

    static func length(_ field: RuleField?, or fallback: Duration) throws(RuleProblem) -> Duration {
        guard let field else { return fallback }
        let length = try field.window()
        guard length <= longest else { throw field.problem("a length of time of at most \(longest.text)") }
        return length
    }
}

/// What is to be learned from how many people.
struct TouchpointModelQuestion: Sendable {
    let conversion: EventSelector
    let horizon: Duration
    let lookback: Duration
    let touchpoints: [Touchpoint]?
    let people: Int
    let penalty: Double

    static let people = 100...200_000
    static let penalties = 0.001...1_000_000.0

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["conversion", "horizon", "lookback", "touchpoints", "people", "penalty"])
        conversion = try TouchpointQuestions.conversion(
            field.optional("conversion") ?? RuleField(TouchpointQuestions.defaultConversion))
        horizon = try TouchpointQuestions.length(
            field.optional("horizon"), or: TouchpointQuestions.defaultHorizon)
        lookback = try TouchpointQuestions.length(
            field.optional("lookback"), or: TouchpointQuestions.defaultLookback)
        people = try field.optional("people")?.count(Self.people) ?? 20_000
        let penalty = field.optional("penalty")
        self.penalty = penalty?.json.number ?? 1
        if let penalty, !(penalty.json.number.map { Self.penalties.contains($0) } ?? false) {
            throw penalty.problem("a number from 0.001 to 1,000,000")
        }
        guard let listed = field.optional("touchpoints") else {
            touchpoints = nil
            return
        }
        var touchpoints: [Touchpoint] = []
        for element in try listed.elements(1...TouchpointModel.most, of: "touchpoints") {
            let touchpoint: Touchpoint
            if element.json.object != nil {
                try element.allow(["event", "type"])
                let kinds: [TrackingEvent.Kind] = [.track, .page, .screen]
                let kind = element.optional("type")?.json.string ?? TrackingEvent.Kind.track.rawValue
                guard let kind = kinds.first(where: { $0.rawValue == kind }) else {
                    throw element.problem("a `type` of track, page or screen")
                }
                touchpoint = Touchpoint(
                    kind: kind, name: try element.required("event", "a name").text("the name of an event"))
            } else {
                touchpoint = Touchpoint(name: try element.text("the name of an event"))
            }
            guard !touchpoints.contains(touchpoint) else { throw element.problem("named once") }
            touchpoints.append(touchpoint)
        }
        self.touchpoints = touchpoints
    }

    var json: JSON {
        var members: [String: JSON] = [
            "conversion": .object(conversion.members), "horizon": .string(horizon.text),
            "lookback": .string(lookback.text), "people": .integer(Int64(people)),
            "penalty": .double(penalty),
        ]
        members["touchpoints"] = touchpoints.map { .array($0.map(\.json)) }
        return .object(members)
    }
}

extension Touchpoint {
    /// A name, or an object with the `type` of what is no track call.
    var json: JSON {
        kind == .track ? .string(name) : ["event": .string(name), "type": .string(kind.rawValue)]
    }
}
