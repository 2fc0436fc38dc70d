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
    package var evidence: JSON {
        get {
            switch basis {
            case .written(let json): json
            case .pending(let evidence): evidence.json
            }
        }
        set { basis = .written(newValue) }
    }
    private var basis: Basis

    private enum Basis: Sendable {
        case written(JSON)
        case pending(any PendingEvidence)
    }

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
        basis = .written(evidence)
    }

    /// A change whose evidence is written out when it is asked for.
    package init(
        profileID: ProfileID, segment: String, change: Change, at: Instant, version: Int, reason: Reason,
        pending evidence: any PendingEvidence
    ) {
        self.init(
            profileID: profileID, segment: segment, change: change, at: at, version: version, reason: reason,
            evidence: .null)
        basis = .pending(evidence)
    }

    /// Writes the evidence out, so that what it is made from is let go of and asking for it again costs nothing.
    package mutating func settle() {
        if case .pending(let evidence) = basis { basis = .written(evidence.json) }
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        profileID = try fields.id("profileId")
        segment = try fields.string("segment")
        change = try fields.choice("change")
        at = try fields.instant("at")
        version = Int(try fields.integer("version"))
        reason = try fields.choice("reason")
        basis = .written(fields["evidence"] ?? .null)
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

extension MembershipChange {
    package static func == (left: Self, right: Self) -> Bool { left.fields == right.fields }

    package func hash(into hasher: inout Hasher) { hasher.combine(fields) }

    private struct Fields: Hashable {
        var profileID: ProfileID
        var segment: String
        var change: Change
        var at: Instant
        var version: Int
        var reason: Reason
        var evidence: JSON
    }

    private var fields: Fields {
        Fields(
            profileID: profileID, segment: segment, change: change, at: at, version: version, reason: reason,
            evidence: evidence)
    }
}

/// Evidence that has not been written out: many changes are decided of which nobody asks why.
package protocol PendingEvidence: Sendable {
    /// It written out, the same each time.
    var json: JSON { get }
}
