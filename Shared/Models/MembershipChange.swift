/// A profile entered or left a segment: what the stream `memberships` is about.
package struct MembershipChange: Hashable, Sendable {
    package enum Change: String, CaseIterable, Sendable, Codable {
        case entered, exited
    }

    /// What brought the change about.
    package enum Reason: String, CaseIterable, Sendable, Codable {
        case event, time, merge, unmerge, definition, erasure
    }

    package var profileID: ProfileID
    package var segment: String
    package var change: Change
    /// The instant at which the rule says it changed.
    package var at: Instant
    /// The version of the segment's definition.
    package var version: Int
    package var reason: Reason
    /// What the decision rests on, enough to make it again.
    package var evidence: JSON

    package init(
        profileID: ProfileID, segment: String, change: Change, at: Instant, version: Int, reason: Reason,
        evidence: JSON
    ) {
        self.profileID = profileID
        self.segment = segment
        self.change = change
        self.at = at
        self.version = version
        self.reason = reason
        self.evidence = evidence
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        profileID = try fields.id("profileId")
        segment = try fields.string("segment")
        change = try fields.choice("change")
        at = try fields.instant("at")
        version = Int(try fields.integer("version"))
        reason = try fields.choice("reason")
        evidence = fields["evidence"] ?? .null
    }

    package var json: JSON {
        [
            "profileId": .string(profileID.description), "segment": .string(segment),
            "change": .string(change.rawValue), "at": .string(at.rfc3339),
            "version": .integer(Int64(version)),
            "reason": .string(reason.rawValue), "evidence": evidence,
        ]
    }
}
