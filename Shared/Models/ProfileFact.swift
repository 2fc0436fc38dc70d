/// Something that became true of a profile: the body of the stream `profile-events`.
package enum ProfileFact: Hashable, Sendable {
    /// An event was resolved. `profileID` was the canonical profile when the fact was appended,
    /// `arrivedUnder` the profile that the event's own identifiers led to.
    case event(profileID: ProfileID, arrivedUnder: ProfileID, event: TrackingEvent)
    /// Another profile was merged into this one; on the shard of the survivor.
    case merge(profileID: ProfileID, merged: ProfileID, mergeID: MergeID, at: Instant, cause: JSON)
    /// This profile was merged into another; on the shard of the loser.
    case mergedInto(profileID: ProfileID, survivor: ProfileID, mergeID: MergeID, at: Instant)
    /// A merge was undone, and another profile is a person of its own again; on the shard of the profile that
    /// both were. `members` are all profiles that went with it, itself among them.
    case unmerge(
        profileID: ProfileID, split: ProfileID, members: [ProfileID], mergeID: MergeID, at: Instant, cause: JSON)
    /// This profile is a person of its own again; on its shard. `members` are all profiles of that person.
    case unmergedFrom(
        profileID: ProfileID, former: ProfileID, members: [ProfileID], mergeID: MergeID, at: Instant)
    /// What an event said of who somebody is, and what was not taken from it, with the reason of each; it follows the
    /// event that it is about.
    case withheld(
        profileID: ProfileID, arrivedUnder: ProfileID, messageID: String, at: Instant, items: [JSON])
    /// Everything known of this profile was erased.
    case erased(profileID: ProfileID, at: Instant)

    /// The profile that the fact is about, which is the key of its record.
    package var profileID: ProfileID {
        switch self {
        case .event(let id, _, _), .merge(let id, _, _, _, _), .mergedInto(let id, _, _, _),
            .unmerge(let id, _, _, _, _, _), .unmergedFrom(let id, _, _, _, _), .withheld(let id, _, _, _, _),
            .erased(let id, _):
            id
        }
    }

    /// When it became true: the event's timestamp, or the time of the merge, undo or erasure.
    package var at: Instant {
        switch self {
        case .event(_, _, let event): event.timestamp
        case .merge(_, _, _, let at, _), .mergedInto(_, _, _, let at), .unmerge(_, _, _, _, let at, _),
            .unmergedFrom(_, _, _, _, let at), .withheld(_, _, _, let at, _), .erased(_, let at):
            at
        }
    }

    /// The `kind` member of the JSON form.
    package enum Kind: String, CaseIterable, Sendable {
        case event, merge, mergedInto, unmerge, unmergedFrom, withheld, erased
    }

    package var kind: Kind {
        switch self {
        case .event: .event
        case .merge: .merge
        case .mergedInto: .mergedInto
        case .unmerge: .unmerge
        case .unmergedFrom: .unmergedFrom
        case .withheld: .withheld
        case .erased: .erased
        }
    }

    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        let kind = try fields.choice("kind", as: Kind.self)
        let id = try fields.id("profileId", as: ProfileID.self)
        switch kind {
        case .event:
            self = .event(
                profileID: id, arrivedUnder: try fields.id("arrivedUnder"),
                event: try TrackingEvent(json: fields["event"] ?? .null, at: fields.path(of: "event")))
        case .merge:
            self = .merge(
                profileID: id, merged: try fields.id("merged"), mergeID: try fields.id("mergeId"),
                at: try fields.instant("at"), cause: fields["cause"] ?? .object([:]))
        case .mergedInto:
            self = .mergedInto(
                profileID: id, survivor: try fields.id("survivor"), mergeID: try fields.id("mergeId"),
                at: try fields.instant("at"))
        case .unmerge:
            self = .unmerge(
                profileID: id, split: try fields.id("split"), members: try Self.members(fields),
                mergeID: try fields.id("mergeId"), at: try fields.instant("at"),
                cause: fields["cause"] ?? .object([:]))
        case .unmergedFrom:
            self = .unmergedFrom(
                profileID: id, former: try fields.id("former"), members: try Self.members(fields),
                mergeID: try fields.id("mergeId"), at: try fields.instant("at"))
        case .withheld:
            self = .withheld(
                profileID: id, arrivedUnder: try fields.id("arrivedUnder"),
                messageID: try fields.string("messageId"), at: try fields.instant("at"),
                items: try fields.array("items"))
        case .erased:
            self = .erased(profileID: id, at: try fields.instant("at"))
        }
    }

    private static func members(_ fields: JSONFields) throws(DecodingProblem) -> [ProfileID] {
        var members: [ProfileID] = []
        for item in try fields.array("members") {
            guard let id = item.string.flatMap({ ProfileID($0) }) else {
                throw fields.problem("members", expected: "ids of profiles")
            }
            members.append(id)
        }
        return members
    }

    package var json: JSON {
        var members: [String: JSON] = [
            "kind": .string(kind.rawValue), "profileId": .string(profileID.description),
        ]
        switch self {
        case .event(_, let arrivedUnder, let event):
            members["arrivedUnder"] = .string(arrivedUnder.description)
            members["event"] = event.json
        case .merge(_, let merged, let mergeID, let at, let cause):
            members["merged"] = .string(merged.description)
            members["mergeId"] = .string(mergeID.description)
            members["at"] = .string(at.rfc3339)
            members["cause"] = cause
        case .mergedInto(_, let survivor, let mergeID, let at):
            members["survivor"] = .string(survivor.description)
            members["mergeId"] = .string(mergeID.description)
            members["at"] = .string(at.rfc3339)
        case .unmerge(_, let split, let profiles, let mergeID, let at, let cause):
            members["split"] = .string(split.description)
            members["members"] = .array(profiles.map { .string($0.description) })
            members["mergeId"] = .string(mergeID.description)
            members["at"] = .string(at.rfc3339)
            members["cause"] = cause
        case .unmergedFrom(_, let former, let profiles, let mergeID, let at):
            members["former"] = .string(former.description)
            members["members"] = .array(profiles.map { .string($0.description) })
            members["mergeId"] = .string(mergeID.description)
            members["at"] = .string(at.rfc3339)
        case .withheld(_, let arrivedUnder, let messageID, let at, let items):
            members["arrivedUnder"] = .string(arrivedUnder.description)
            members["messageId"] = .string(messageID)
            members["at"] = .string(at.rfc3339)
            members["items"] = .array(items)
        case .erased(_, let at):
            members["at"] = .string(at.rfc3339)
        }
        return .object(members)
    }
}
