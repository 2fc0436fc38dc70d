// The policy as it is written. A mistake is told by its path; who reads the text knows the place of that.

extension RetentionPolicy {
    private static let mostNamed = 500

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(["keep", "noBasis"])
        self.init()
        if fields["keep"] != nil {
            let named = try fields.fields("keep")
            try named.allow(Set(RetentionClass.kept.map(\.rawValue)))
            for kind in RetentionClass.kept where named[kind.rawValue] != nil {
                try read(kind, named)
            }
        }
        try checkRawEvents(fields)
        if fields["noBasis"] != nil {
            let rule = try NoBasisRule(try fields.fields("noBasis"))
            try check(rule)
            noBasis = rule
        }
    }

    private mutating func read(_ kind: RetentionClass, _ fields: JSONFields) throws(DecodingProblem) {
        guard kind == .timelineEvents, fields[kind.rawValue]?.object != nil else {
            keep[kind] = try Self.duration(kind.rawValue, fields, of: kind)
            return
        }
        let inner = try fields.fields(kind.rawValue)
        try inner.allow(["default", "events", "purposes"])
        if inner["default"] != nil { keep[kind] = try Self.duration("default", inner, of: kind) }
        events = try Self.named("events", inner, of: kind)
        purposes = try Self.named("purposes", inner, of: kind)
        guard keep[kind] != nil || !events.isEmpty || !purposes.isEmpty else {
            throw fields.problem(kind.rawValue, expected: "a duration, or an object with at least one")
        }
    }

    private static func named(
        _ key: String, _ fields: JSONFields, of kind: RetentionClass
    ) throws(DecodingProblem) -> [String: Duration] {
        guard fields[key] != nil else { return [:] }
        let inner = try fields.fields(key)
        guard (1...mostNamed).contains(inner.members.count) else {
            throw fields.problem(key, expected: "an object of 1 to \(mostNamed) durations")
        }
        var found: [String: Duration] = [:]
        for name in inner.members.keys.sorted() {
            guard (1...256).contains(name.utf8.count), name != "*" else {
                throw inner.problem(name, expected: "under a name of 1 to 256 bytes that is not *")
            }
            found[name] = try duration(name, inner, of: kind)
        }
        return found
    }

    private static func duration(
        _ key: String, _ fields: JSONFields, of kind: RetentionClass
    ) throws(DecodingProblem) -> Duration {
        try duration(key, fields, from: kind.floor, to: kind.ceiling)
    }

    static func duration(
        _ key: String, _ fields: JSONFields, from floor: Duration, to ceiling: Duration
    ) throws(DecodingProblem) -> Duration {
        guard let duration = fields[key]?.string.flatMap({ Duration(text: $0) }),
            duration >= floor, duration <= ceiling
        else {
            let path = fields.path(of: key)
            let expected = "a duration of \(floor.text) to \(ceiling.text), such as \(floor.text)"
            throw DecodingProblem(
                path: path, expected: expected,
                message: "\(path) must be \(expected), found "
                    + (fields[key]?.string.map { "\"\($0.prefix(64))\"" } ?? fields.members[key]?.kind
                        ?? "nothing"))
        }
        return duration
    }

    /// The raw log holds the same events: what goes from timelines must not stay there, and an erasure finds the events of a
    /// device that others use as well by way of the timeline.
    private func checkRawEvents(_ fields: JSONFields) throws(DecodingProblem) {
        let times = Array(events.values) + Array(purposes.values) + [keep[.timelineEvents]].compactMap { $0 }
        guard let shortest = times.min() else { return }
        if let raw = keep[.rawEvents], raw <= shortest { return }
        throw DecodingProblem(
            path: keep[.rawEvents] == nil ? "keep.timelineEvents" : "keep.rawEvents",
            expected: "rawEvents of \(shortest.text) or less",
            message: "keep.rawEvents must be \(shortest.text) or less, the shortest time of timelineEvents: "
                + "the raw log holds the same events")
    }

    /// What shows that there is a contract must not go from timelines while it still counts.
    private func check(_ rule: NoBasisRule) throws(DecodingProblem) {
        guard let contract = rule.contract else { return }
        // As long as its end counts: whose last order is gone from the timeline would seem never to have had one.
        let needed = contract.within + rule.after
        for name in contract.events {
            guard let kept = keep(event: name, needing: purposes.keys), kept < needed else { continue }
            throw DecodingProblem(
                path: "noBasis.contract.within", expected: "with noBasis.after together \(kept.text) or less",
                message:
                    "noBasis.contract.within and noBasis.after together must be \(kept.text) or less, as timelineEvents "
                    + "may keep \"\(name)\" no longer; say how long it is kept in keep.timelineEvents.events")
        }
    }

    package var json: JSON {
        var members: [String: JSON] = [:]
        var named = Dictionary(
            uniqueKeysWithValues: keep.map { ($0.key.rawValue, JSON.string($0.value.text)) })
        if !events.isEmpty || !purposes.isEmpty {
            var inner: [String: JSON] = [:]
            if let all = keep[.timelineEvents] { inner["default"] = .string(all.text) }
            if !events.isEmpty { inner["events"] = .object(events.mapValues { .string($0.text) }) }
            if !purposes.isEmpty { inner["purposes"] = .object(purposes.mapValues { .string($0.text) }) }
            named[RetentionClass.timelineEvents.rawValue] = .object(inner)
        }
        if !named.isEmpty { members["keep"] = .object(named) }
        if let noBasis { members["noBasis"] = noBasis.json }
        return .object(members)
    }
}
