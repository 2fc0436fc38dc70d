package import Models

/// Why a condition holds or does not, at one instant: in words, and as data from which it can be decided again.
package struct Explanation: Hashable, Sendable {
    /// The condition as it is written in the rule; for a group, its key alone.
    package var condition: JSON
    package var holds: Bool
    package var text: String
    /// What the condition found, and by how much that is not what it asks: `2 of 3 times; 1 more is needed`.
    package var finding: String?
    /// The events that it rests on, in ascending order.
    package var events: [Occurrence] = []
    /// Earlier ones, of which no more is known than what is said of those that are not listed.
    package var tally: Tally?
    /// How those of the events that are not listed are summed up.
    package var unlisted = UnlistedEvents.counted
    /// How many of the latest events are listed however few may be.
    var essential = 1
    /// That not all is known that it asks for.
    package var notice: String?
    /// What the condition counted or compared.
    package var details: [String: JSON] = [:]
    /// The conditions of a group.
    package var parts: [Explanation] = []

    /// The same with what was found.
    func with(_ finding: Finding) -> Explanation {
        var explanation = self
        explanation.finding = finding.text
        explanation.details.merge(finding.details) { $1 }
        return explanation
    }

    /// The same of a memory of which events were forgotten, because the rules together remembered too many.
    func with(_ cut: Occurrence?) -> Explanation {
        guard let cut else { return self }
        var explanation = self
        explanation.notice =
            "of this profile only what came after \(cut.at.rfc3339) is known to it: all rules together remember "
            + "the events of one profile up to \(RuleLimits.remembered.grouped) times, and it remembered most"
        return explanation
    }

    /// How many events the JSON form lists of each condition unless said otherwise, the latest of them.
    package static let listedEvents = 100

    package var json: JSON { json(listing: Self.listedEvents) }

    /// The JSON form with so many events of each condition; `eventCount` says how many there are, and `unlisted` sums up
    /// the others, so that the condition can be decided again.
    package func json(listing limit: Int) -> JSON {
        var members: [String: JSON] = [
            "condition": condition, "holds": .bool(holds), "text": .string(text),
        ]
        members["finding"] = finding.map { .string($0) }
        members["notice"] = notice.map { .string($0) }
        if !events.isEmpty {
            let start = UnlistedEvents.beginning(of: events, listing: max(limit, essential))
            members["events"] = .array(events[start...].map { unlisted.json(of: $0) })
            members["eventCount"] = .integer(Int64(events.count + (tally?.events ?? 0)))
            if start > 0 || tally != nil {
                members["unlisted"] = unlisted.json(
                    of: events[..<start], and: tally, besides: events[start...])
            }
        }
        if !details.isEmpty { members["details"] = .object(details) }
        if !parts.isEmpty { members["parts"] = .array(parts.map { $0.json(listing: limit) }) }
        return .object(members)
    }
}

extension Occurrence {
    /// As evidence shows it: `{"messageId": "…", "timestamp": "…", "shard": 12, "offset": 345}`.
    package var json: JSON {
        var members: [String: JSON] = ["messageId": .string(messageID), "timestamp": .string(at.rfc3339)]
        if let position { members.merge(position.members) { $1 } }
        if let amount { members["amount"] = .string(amount.text) }
        if let group { members["value"] = .string(group) }
        return .object(members)
    }
}
