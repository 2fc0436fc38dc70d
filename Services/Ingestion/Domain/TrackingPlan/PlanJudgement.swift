package import Models

/// What a tracking plan says about one event.
package struct PlanJudgement: Hashable, Sendable {
    /// What is to be done with the event.
    package enum Action: Hashable, Sendable {
        case accept
        case quarantine(Reason)
    }

    /// Why an event is put into quarantine. The names are stable.
    package enum Reason: String, CaseIterable, Sendable {
        /// The plan knows no event of this name.
        case unplanned = "unplanned-event"
        /// The event isn't as the plan says.
        case violation = "plan-violation"
    }

    /// A personal value, and what became of it.
    package struct Treated: Hashable, Sendable {
        package var pointer: JSONPointer
        package var treatment: PersonalTreatment

        package var json: JSON {
            ["pointer": .string(pointer.abbreviated), "treatment": .string(treatment.rawValue)]
        }
    }

    /// The event as it may be stored, whether it is accepted or not: without what is personal, and, where it is
    /// accepted in the mode `drop-property`, without what violates the plan.
    package var event: TrackingEvent
    /// What the event did against the plan as it came, at most 32 of it. Places are those of the canonical form of an
    /// event: `/properties/total`.
    package var violations: [Violation] = []
    /// Personal values that were dropped or hashed, also in an event that goes into quarantine.
    package var treated: [Treated] = []
    /// Properties that were removed because they violate the plan.
    package var dropped: [JSONPointer] = []
    package var action = Action.accept

    init(event: TrackingEvent) { self.event = event }

    /// Whether the event or the report about it says anything beyond "as planned".
    package var isRemarkable: Bool {
        action != .accept || !violations.isEmpty || !treated.isEmpty || !dropped.isEmpty
    }

    /// Why the event is in quarantine, in one sentence that quotes no value; nil when it is accepted.
    package var detail: String? {
        switch action {
        case .accept: return nil
        case .quarantine(.unplanned): return "the tracking plan has no event of this name"
        case .quarantine(.violation):
            guard let first = violations.first else { return "the event violates the tracking plan" }
            return violations.count == 1
                ? first.sentence : "\(first.sentence); \(violations.count - 1) more violations"
        }
    }

    /// The report without the event, as it is stored and shown.
    package var report: JSON {
        var members: [String: JSON] = [
            "violations": .array(violations.map(\.json)), "personal": .array(treated.map(\.json)),
            "dropped": .array(dropped.map { .string($0.abbreviated) }),
        ]
        switch action {
        case .accept: members["action"] = "accept"
        case .quarantine(let reason):
            members["action"] = "quarantine"
            members["reason"] = .string(reason.rawValue)
            members["detail"] = detail.map { .string($0) }
        }
        return .object(members)
    }
}
