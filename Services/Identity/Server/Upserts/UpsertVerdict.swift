import Models

/// What became of one item.
enum UpsertVerdict: Hashable, Sendable {
    /// Nobody was known by any of the identifiers.
    case created(ProfileID, withheld: [JSON])
    /// It was added to what is known of the profile.
    case updated(ProfileID, withheld: [JSON])
    /// Everything in it was known; nothing was written.
    case unchanged(ProfileID, withheld: [JSON])
    case refused(ItemRefusal)

    /// How it is called in answers.
    var name: String {
        switch self {
        case .created: "created"
        case .updated: "updated"
        case .unchanged: "unchanged"
        case .refused: "refused"
        }
    }

    /// `withheld` is what the item says of who somebody is and was not taken, as it stands on the timeline.
    func json(at position: Int) -> JSON {
        switch self {
        case .created(let id, let withheld), .updated(let id, let withheld), .unchanged(let id, let withheld):
            var members: [String: JSON] = [
                "position": .integer(Int64(position)), "verdict": .string(name),
                "profileId": .string(id.description),
            ]
            if !withheld.isEmpty { members["withheld"] = .array(withheld) }
            return .object(members)
        case .refused(let refusal): return refusal.json(at: position)
        }
    }
}
