package import Models

/// The readable form of a state is JSON with short names: `d` decided at, `r` revision, `o` offsets, `s` segments in which
/// `v` is the version, `m` member since, `n` next deadline, `f` decides from; `c` the conditions in the order of the layout,
/// each with its key and what it remembers, or 0 for nothing; in that `o` occurrences (each with its time, message, and as
/// far as needed amount, group, spans and number), `y` those that are remembered together, `k` the latest that was forgotten,
/// `a` answer, `t` trait with, where a rule needs it, its history. Times are
/// milliseconds. What is empty is left out. An older form has no `c`: then where the profile stands is known, and what is
/// remembered is made anew from the timeline.
extension ProfileState {
    package var json: JSON {
        var members: [String: JSON] = ["r": .integer(revision)]
        if decidedAt != .distantPast { members["d"] = decidedAt.stored }
        if !applied.isEmpty {
            members["o"] = .object(
                Dictionary(
                    uniqueKeysWithValues: applied.map { ("\($0.shard.number)", .integer($0.offset)) }))
        }
        if !layout.segments.isEmpty { members["s"] = .object(segmentStates.mapValues(\.json)) }
        if !layout.conditions.isEmpty {
            members["c"] = .array(
                layout.conditions.enumerated().map { slot, key in
                    let memory = memory(slot)
                    return [.string(key.text), memory.isEmpty ? 0 : memory.json]
                })
        }
        return .object(members)
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        var segments: [String: SegmentState] = [:]
        let revision = try fields.integer("r")
        for (id, value) in try fields.objectIfPresent("s") {
            segments[id] = try SegmentState(json: value, at: "s.\(id)")
        }
        var conditions: [ConditionKey] = []
        var memories: [HeldMemory] = []
        for element in fields["c"] == nil ? [] : try fields.array("c") {
            guard let parts = element.array, parts.count == 2,
                let key = parts[0].string.flatMap({ ConditionKey(text: $0) })
            else { throw fields.problem("c", expected: "conditions") }
            if parts[1].object != nil {
                let memory = try Memory(json: parts[1], at: "c")
                memories.append(HeldMemory(slot: conditions.count, memory: memory))
            }
            conditions.append(key)
        }
        self.init(revision: revision)
        let ids = segments.keys.sorted { $0.precedesInUTF8($1) }
        lay(
            StateLayout(
                segments: ids.map { StateLayout.Segment(id: $0, version: segments[$0]?.version ?? 0) },
                conditions: conditions), segments: segments, memories: memories)
        if let decided = try fields.optionalInteger("d") { decidedAt = Instant(milliseconds: decided) }
        for (key, value) in try fields.objectIfPresent("o") {
            guard let number = Int16(key), let shard = Shard(number: number), let offset = value.integer
            else {
                throw fields.problem("o", expected: "offsets by shard")
            }
            include(offset: offset, of: shard)
        }
    }
}

extension SegmentState {
    var json: JSON {
        var members: [String: JSON] = ["v": .integer(Int64(version))]
        members["m"] = memberSince?.stored
        members["n"] = deadline?.stored
        if decidesFrom != .distantPast { members["f"] = decidesFrom.stored }
        return .object(members)
    }

    init(json: JSON, at path: String) throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        version = Int(try fields.integer("v"))
        memberSince = try fields.optionalInteger("m").map { Instant(milliseconds: $0) }
        deadline = try fields.optionalInteger("n").map { Instant(milliseconds: $0) }
        decidesFrom = try fields.optionalInteger("f").map { Instant(milliseconds: $0) } ?? .distantPast
    }
}

extension Memory {
    var json: JSON {
        var members: [String: JSON] = [:]
        if !occurrences.isEmpty { members["o"] = .array(occurrences.map(\.stored)) }
        members["a"] = answer?.stored
        if let trait {
            members["t"] = .array(
                [trait.stamp.at.stored, .string(trait.stamp.messageID), trait.value]
                    + (trait.history.map { [$0.json] } ?? []))
        }
        members["p"] = source?.stored
        members["y"] = tally?.stored
        members["k"] = cut?.stored
        return .object(members)
    }

    init(json: JSON, at path: String) throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        if fields["o"] != nil {
            for element in try fields.array("o") {
                guard let occurrence = Occurrence(stored: element) else {
                    throw fields.problem("o", expected: "occurrences")
                }
                occurrences.append(occurrence)
            }
        }
        if let stored = fields["a"] { answer = Occurrence(stored: stored) }
        if let stored = fields["k"] { cut = Occurrence(stored: stored) }
        if let stored = fields["y"] {
            guard let tally = Tally(stored: stored) else { throw fields.problem("y", expected: "a tally") }
            self.tally = tally
        }
        if let parts = fields["t"]?.array, (3...4).contains(parts.count), let at = parts[0].integer,
            let id = parts[1].string
        {
            trait = EffectiveTraits.Entry(
                value: parts[2],
                stamp: EffectiveTraits.Stamp(at: Instant(milliseconds: at), messageID: id),
                history: parts.count == 4 ? try TraitHistory(json: parts[3], at: path) : nil)
            source = fields["p"].flatMap { TimelinePosition(stored: $0) }
        }
    }
}

extension Tally {
    fileprivate var stored: JSON {
        [
            .integer(Int64(events)), .integer(Int64(base)), .integer(Int64(values)), .string("\(total)"),
            minimum.map { .integer($0.millionths) } ?? .null,
            maximum.map { .integer($0.millionths) } ?? .null,
            first.stored, last.stored, .array(recent.map { .integer(Int64(bitPattern: $0)) }),
        ]
    }

    fileprivate init?(stored: JSON) {
        guard let parts = stored.array, (8...9).contains(parts.count), let events = parts[0].integer,
            let base = parts[1].integer, let values = parts[2].integer,
            let total = parts[3].string.flatMap({ Int128($0) }), let first = Occurrence(stored: parts[6]),
            let last = Occurrence(stored: parts[7])
        else { return nil }
        self.init(
            events: Int(events), base: Int(base), values: Int(values), total: total,
            minimum: parts[4].integer.map { Amount(millionths: $0) },
            maximum: parts[5].integer.map { Amount(millionths: $0) }, first: first, last: last,
            recent: parts.count < 9
                ? [] : (parts[8].array ?? []).compactMap { $0.integer.map(UInt64.init(bitPattern:)) })
    }
}

extension Occurrence {
    fileprivate var stored: JSON {
        var parts: [JSON] = [
            at.stored, .string(messageID), amount.map { .integer($0.millionths) } ?? .null,
            group.map { .string($0) } ?? .null, spans?.stored ?? .null,
            number.map { .integer(Int64($0)) } ?? .null, position?.stored ?? .null,
        ]
        while parts.last?.isNull == true { parts.removeLast() }
        return .array(parts)
    }

    fileprivate init?(stored: JSON) {
        guard let parts = stored.array, parts.count >= 2, let at = parts[0].integer, let id = parts[1].string
        else { return nil }
        self.init(
            at: Instant(milliseconds: at), messageID: id,
            position: parts.count > 6 ? TimelinePosition(stored: parts[6]) : nil,
            amount: parts.count > 2 ? parts[2].integer.map { Amount(millionths: $0) } : nil,
            group: parts.count > 3 ? parts[3].string : nil,
            spans: parts.count > 4 ? Spans(stored: parts[4]) : nil,
            number: parts.count > 5 ? parts[5].integer.map { Int(clamping: $0) } : nil)
    }
}

extension TimelinePosition {
    fileprivate var stored: JSON { [.integer(Int64(shard.number)), .integer(offset)] }

    fileprivate init?(stored: JSON) {
        guard let parts = stored.array?.compactMap(\.integer), parts.count == 2,
            let shard = Shard(number: parts[0])
        else { return nil }
        self.init(shard: shard, offset: parts[1])
    }
}

extension Spans {
    fileprivate var stored: JSON {
        .array(stretches.flatMap { [$0.lowerBound.stored, $0.upperBound.stored] })
    }

    fileprivate init?(stored: JSON) {
        guard let bounds = stored.array?.compactMap(\.integer), bounds.count % 2 == 0 else { return nil }
        self.init(
            stretches: stride(from: 0, to: bounds.count, by: 2).compactMap {
                bounds[$0] < bounds[$0 + 1]
                    ? Instant(milliseconds: bounds[$0])..<Instant(milliseconds: bounds[$0 + 1]) : nil
            })
    }
}

extension Instant {
    fileprivate var stored: JSON { .integer(milliseconds) }
}
