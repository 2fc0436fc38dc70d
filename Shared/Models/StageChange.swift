/// A profile came into another journey stage, or into none: told on the stream `memberships`.
package struct StageChange: Hashable, Sendable {
    /// How such a fact is told from the others of the stream.
    static let kind = "stage"

    package var profileID: ProfileID
    /// The stage that it is in from then on; nil for none.
    package var stage: String?
    /// The stage that it was in.
    package var previous: String?
    /// The instant at which the rules say it changed.
    package var at: Instant
    /// The version of the stages' definition.
    package var version: Int
    package var reason: MembershipChange.Reason
    /// What the decision rests on, enough to make it again.
    package var evidence: JSON

    package init(
        profileID: ProfileID, stage: String?, previous: String?, at: Instant, version: Int,
        reason: MembershipChange.Reason, evidence: JSON
    ) {
        self.profileID = profileID
        self.stage = stage
        self.previous = previous
        self.at = at
        self.version = version
        self.reason = reason
        self.evidence = evidence
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        profileID = try fields.id("profileId")
        stage = try fields.optionalString("stage")
        previous = try fields.optionalString("previous")
        at = try fields.instant("at")
        version = Int(try fields.integer("version"))
        reason = try fields.choice("reason")
        evidence = fields["evidence"] ?? .null
    }

    package var json: JSON {
        [
            "kind": .string(Self.kind), "profileId": .string(profileID.description),
            "stage": stage.map { .string($0) } ?? .null, "previous": previous.map { .string($0) } ?? .null,
            "at": .string(at.rfc3339), "version": .integer(Int64(version)),
            "reason": .string(reason.rawValue), "evidence": evidence,
        ]
    }
}
