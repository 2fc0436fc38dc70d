import Models

/// Who enters a journey, and when again.
package struct EntryRule: Hashable, Sendable {
    package enum Trigger: Hashable, Sendable {
        case event(EventPattern)
        case segmentEntered(String)

        package var event: EventPattern? {
            if case .event(let pattern) = self { pattern } else { nil }
        }

        package var segment: String? {
            if case .segmentEntered(let segment) = self { segment } else { nil }
        }
    }

    /// Whether somebody who has been through may enter again. Nobody is in the same journey twice at a time.
    package enum Reentry: Hashable, Sendable {
        case once
        /// When this long has passed since the last entry.
        case after(Duration)
        case always
    }

    package static let defaultMaxTriggerAge = Duration.hours(24)

    package var trigger: Trigger
    package var reentry: Reentry
    /// A trigger that is older than this when it arrives (an import of last year's orders) lets nobody in.
    package var maxTriggerAge: Duration

    package init(
        trigger: Trigger, reentry: Reentry = .once, maxTriggerAge: Duration = Self.defaultMaxTriggerAge
    ) {
        self.trigger = trigger
        self.reentry = reentry
        self.maxTriggerAge = maxTriggerAge
    }
}

extension EntryRule {
    private static let ages = Duration.seconds(1)...Duration.days(3650)

    init?(_ node: DefinitionNode, _ path: String, _ log: MistakeLog) {
        guard
            var reader = ObjectReader(node, path, log, expected: "an object with `event: …` or `segment: …`")
        else { return nil }
        let trigger = Self.trigger(&reader)
        let reentry = Self.reentry(&reader)
        let age = reader.optionalDuration("maxTriggerAge", in: Self.ages) ?? Self.defaultMaxTriggerAge
        reader.finish()
        guard let trigger, let reentry else { return nil }
        self.init(trigger: trigger, reentry: reentry, maxTriggerAge: age)
    }

    private static func trigger(_ reader: inout ObjectReader) -> Trigger? {
        let segment = reader.optionalString("segment", expected: "the id of a segment")
        if let segment {
            if let event = reader.optional("event") {
                reader.log.report(event, reader.path(to: "event"), expected: "either `event` or `segment`")
            }
            return .segmentEntered(segment)
        }
        guard reader.optional("event") != nil else {
            reader.log.report(
                reader.node, reader.path, expected: "`event: …` or `segment: …`", found: "neither")
            return nil
        }
        return EventPattern(&reader, name: "event").map { .event($0) }
    }

    private static func reentry(_ reader: inout ObjectReader) -> Reentry? {
        guard let node = reader.optional("reentry") else { return .once }
        switch node.value {
        case .string("once"): return .once
        case .string("always"): return .always
        case .object:
            guard
                var inner = ObjectReader(node, reader.path(to: "reentry"), reader.log, expected: "`after: …`")
            else { return nil }
            let duration = inner.duration("after", in: Self.ages)
            inner.finish()
            return duration.map { .after($0) }
        default:
            reader.log.report(
                node, reader.path(to: "reentry"), expected: "once, always or `{after: 7d}`")
            return nil
        }
    }
}
