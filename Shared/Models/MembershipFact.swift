/// What segmentation says of profiles: the body of the stream `memberships`.
package enum MembershipFact: Hashable, Sendable {
    /// A profile entered or left a segment.
    case changed(MembershipChange)
    /// A merge was undone, and this is what it would have been without.
    case unmerged(MembershipHistory)
    /// A profile came into another journey stage.
    case stage(StageChange)
    /// Something that this version does not know and that readers pass over.
    case unknown(ProfileID, body: JSON)

    package var profileID: ProfileID {
        switch self {
        case .stage(let change): change.profileID
        case .changed(let change): change.profileID
        case .unmerged(let history): history.profileID
        case .unknown(let id, _): id
        }
    }

    package init(json: JSON) throws(DecodingProblem) {
        switch try JSONFields(json).optionalString("kind") {
        // The oldest kind has no name of its own.
        case nil: self = .changed(try MembershipChange(json: json))
        case StageChange.kind: self = .stage(try StageChange(json: json))
        case MembershipHistory.kind: self = .unmerged(try MembershipHistory(json: json))
        default: self = .unknown(try JSONFields(json).id("profileId"), body: json)
        }
    }

    package var json: JSON {
        switch self {
        case .changed(let change): change.json
        case .stage(let change): change.json
        case .unmerged(let history): history.json
        case .unknown(_, let body): body
        }
    }
}

/// The segments that one of two people would have entered and left while they were taken for one, told when that merge
/// was undone.
package struct MembershipHistory: Hashable, Sendable {
    /// How such a fact is told from the others of the stream.
    static let kind = "unmerged"

    package var profileID: ProfileID
    package var mergeID: MergeID
    /// When the two were merged.
    package var since: Instant
    /// The segments that were gone through, with the versions of their rules: of others, and of older versions, nothing
    /// is said. None where the profile is part of somebody else by now.
    package var versions: [String: Int]
    /// In the order in which they would have been made. Evidence holds what caused an entry, not all it rests on.
    package var changes: [MembershipChange]
    /// How many older changes are left out, because there are very many; their segments are not among `versions`.
    package var leftOut: Int

    package init(
        profileID: ProfileID, mergeID: MergeID, since: Instant, versions: [String: Int] = [:],
        changes: [MembershipChange] = [], leftOut: Int = 0
    ) {
        self.leftOut = leftOut
        self.profileID = profileID
        self.mergeID = mergeID
        self.since = since
        self.versions = versions
        self.changes = changes
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        profileID = try fields.id("profileId")
        mergeID = try fields.id("mergeId")
        since = try fields.instant("since")
        versions = try fields.object("versions").compactMapValues { $0.integer.map(Int.init) }
        leftOut = json["leftOut"]?.integer.map { Int(clamping: $0) } ?? 0
        changes = []
        for change in try fields.array("changes") { changes.append(try MembershipChange(json: change)) }
    }

    package var json: JSON {
        var members: [String: JSON] = [
            "kind": .string(Self.kind), "profileId": .string(profileID.description),
            "mergeId": .string(mergeID.description), "since": .string(since.rfc3339),
            "versions": .object(versions.mapValues { .integer(Int64($0)) }),
            "changes": .array(changes.map(\.json)),
        ]
        if leftOut > 0 { members["leftOut"] = .integer(Int64(leftOut)) }
        return .object(members)
    }
}
