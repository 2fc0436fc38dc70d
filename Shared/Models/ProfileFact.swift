/// Something that became true of a profile: the body of the stream `profile-events`.
package enum ProfileFact: Hashable, Sendable {
    /// An event was resolved. `profileID` was the canonical profile when the fact was appended,
    /// `arrivedUnder` the profile that the event's own identifiers led to.
    case event(profileID: ProfileID, arrivedUnder: ProfileID, event: TrackingEvent)
    /// Another profile was merged into this one; on the shard of the survivor.
    case merge(profileID: ProfileID, merged: ProfileID, mergeID: MergeID, at: Instant, cause: JSON)
    /// This profile was merged into another; on the shard of the loser.
    case mergedInto(profileID: ProfileID, survivor: ProfileID, mergeID: MergeID, at: Instant)
    /// Everything known of this profile was erased.
    case erased(profileID: ProfileID, at: Instant)

    /// The profile that the fact is about, which is the key of its record.
    package var profileID: ProfileID {
        switch self {
        case .event(let id, _, _), .merge(let id, _, _, _, _), .mergedInto(let id, _, _, _),
            .erased(let id, _):
            id
        }
    }

    /// When it became true: the event's timestamp, or the time of the merge or erasure.
    package var at: Instant {
        switch self {
        case .event(_, _, let event): event.timestamp
        case .merge(_, _, _, let at, _), .mergedInto(_, _, _, let at), .erased(_, let at): at
        }
    }

    /// The `kind` member of the JSON form.
    package enum Kind: String, CaseIterable, Sendable {
        case event, merge, mergedInto, erased
    }

    package var kind: Kind {
        switch self {
        case .event: .event
        case .merge: .merge
        case .mergedInto: .mergedInto
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
        case .erased:
            self = .erased(profileID: id, at: try fields.instant("at"))
        }
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
        case .erased(_, let at):
            members["at"] = .string(at.rfc3339)
        }
        return .object(members)
    }
}
