package import Models

/// What brought a decision about.
package enum Cause: Hashable, Sendable {
    case event(String, at: Instant)
    /// A decision about a purpose, with the entry in the ledger that proves it.
    case consent(purpose: String, ledgerEntry: String, at: Instant)
    case time
    case merge(merged: ProfileID, mergeID: MergeID)
    /// A merge was undone.
    case unmerge(mergeID: MergeID)
    case definition(revision: Int64)
    case erasure

    package var reason: MembershipChange.Reason {
        switch self {
        case .event, .consent: .event
        case .time: .time
        case .merge: .merge
        case .unmerge: .unmerge
        case .definition: .definition
        case .erasure: .erasure
        }
    }

    package var json: JSON {
        switch self {
        case .event(let id, let at):
            ["kind": "event", "messageId": .string(id), "timestamp": .string(at.rfc3339)]
        case .consent(let purpose, let entry, let at):
            [
                "kind": "consent", "purpose": .string(purpose), "ledgerEntry": .string(entry),
                "timestamp": .string(at.rfc3339),
            ]
        case .time: ["kind": "time"]
        case .merge(let merged, let id):
            ["kind": "merge", "merged": .string(merged.description), "mergeId": .string(id.description)]
        case .unmerge(let id): ["kind": "unmerge", "mergeId": .string(id.description)]
        case .definition(let revision): ["kind": "definition", "revision": .integer(revision)]
        case .erasure: ["kind": "erasure"]
        }
    }
}

/// The evidence of a change at an instant: from what it says the decision can be made again.
///
/// It holds what the rule remembered at that instant, and is written out when somebody wants it.
package struct Evidence: PendingEvidence {
    let rule: Rule
    let version: Int
    let memories: Memories
    let previous: Previous
    let at: Instant
    let cause: Cause
    let surroundings: Surroundings

    /// What was before.
    struct Previous {
        var version: Int
        var memberSince: Instant?

        var json: JSON {
            var members: [String: JSON] = [
                "member": .bool(memberSince != nil), "version": .integer(Int64(version)),
            ]
            members["since"] = memberSince.map { .string($0.rfc3339) }
            return .object(members)
        }
    }

    /// How large evidence may become in a stream record, in bytes, which every reader must be able to take. Only rules of
    /// hundreds of conditions come near it. What is larger is kept beside it (`abridged`).
    package static let maxBytes = 128 << 10
    /// How large it may become at all. The limits of rules leave it far below.
    package static let mostBytes = 32 << 20

    /// `conditions` is the rule with the truth of each part and its events at that instant; `before`, for a change
    /// that time alone made, the same a millisecond earlier, where the events that fell out are still seen. Where
    /// that would be too large for a stream record, fewer events are listed.
    package var json: JSON {
        var members: [String: JSON] = [
            "version": .integer(Int64(version)), "decidedAt": .string(at.rfc3339),
            "cause": cause.json, "previous": previous.json,
        ]
        let conditions = rule.explain(memories, at: at, in: surroundings)
        var before: Explanation?
        if cause == .time {
            members["boundary"] = .string(at.rfc3339)
            before = rule.explain(memories, at: at - .milliseconds(1), in: surroundings)
        }
        for limit in [Explanation.listedEvents, 5] {
            members["conditions"] = conditions.json(listing: limit)
            members["before"] = before?.json(listing: limit)
            let evidence = JSON.object(members)
            if evidence.isWithin(Self.maxBytes) { return evidence }
        }
        let evidence = JSON.object(members)
        return evidence.isWithin(Self.mostBytes) ? evidence : Self.bare(members)
    }

    /// What stands in a stream record in the place of evidence that is too large for it, and is kept elsewhere under an id; nil
    /// where it is not too large.
    package static func abridged(_ evidence: JSON, kept id: @autoclosure () -> String) -> JSON? {
        guard case .object(let members) = evidence, !evidence.isWithin(maxBytes) else { return nil }
        guard case .object(var bare) = bare(members) else { return nil }
        bare["kept"] = .string(id())
        return .object(bare)
    }

    private static func bare(_ members: [String: JSON]) -> JSON {
        var members = members
        members["conditions"] = nil
        members["before"] = nil
        members["abridged"] = true
        return .object(members)
    }

    /// The evidence of a change that was found again when the profile's history was gone through, with the reason
    /// for going through it.
    static func restated(_ evidence: JSON, cause: Cause) -> JSON {
        guard case .object(var members) = evidence else { return evidence }
        members["restatedBecause"] = cause.json
        return .object(members)
    }

    /// What caused an entry, and the newest event that it rests on, for a history of many.
    package static func inShort(_ evidence: JSON) -> JSON {
        var members: [String: JSON] = [:]
        for name in ["version", "decidedAt", "cause"] { members[name] = evidence[name] }
        var newest: (at: Instant, id: String)?
        var waiting = [evidence]
        while let json = waiting.popLast() {
            waiting += json.array ?? json.object.map { Array($0.values) } ?? []
            guard let id = json["messageId"]?.string,
                let at = json["timestamp"]?.string.flatMap({ Instant(rfc3339: $0) })
            else { continue }
            if newest.map({ $0 < (at, id) }) ?? true { newest = (at, id) }
        }
        members["newest"] = newest.map {
            ["messageId": .string($0.id), "timestamp": .string($0.at.rfc3339)]
        }
        return .object(members)
    }

    /// Evidence of an exit that no rule decided: the profile itself, or the segment, is gone.
    static func ofRemoval(_ segment: SegmentState, at instant: Instant, cause: Cause) -> JSON {
        [
            "version": .integer(Int64(segment.version)), "decidedAt": .string(instant.rfc3339),
            "cause": cause.json,
            "previous": Previous(version: segment.version, memberSince: segment.memberSince).json,
        ]
    }
}

extension JSON {
    /// Whether its text is no longer than so many bytes.
    fileprivate func isWithin(_ bytes: Int) -> Bool { bytes >= longest || compact.utf8.count <= bytes }

    /// What its text cannot be longer than, told without writing it: a byte of a string is at most six in the text, and a
    /// number no longer than 32.
    private var longest: Int {
        switch self {
        case .null, .bool: 5
        case .integer, .double: 32
        case .string(let text): text.utf8.count * 6 + 2
        case .array(let elements): elements.reduce(2) { $0 + $1.longest + 1 }
        case .object(let members): members.reduce(2) { $0 + $1.key.utf8.count * 6 + $1.value.longest + 4 }
        }
    }
}
