import Models

/// What became of one item.
enum UpsertVerdict: Hashable, Sendable {
    /// Nobody was known by any of the identifiers.
    case created(ProfileID)
    /// It was added to what is known of the profile.
    case updated(ProfileID)
    /// Everything in it was known; nothing was written.
    case unchanged(ProfileID)
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

    func json(at position: Int) -> JSON {
        switch self {
        case .created(let id), .updated(let id), .unchanged(let id):
            [
                "position": .integer(Int64(position)), "verdict": .string(name),
                "profileId": .string(id.description),
            ]
        case .refused(let refusal): refusal.json(at: position)
        }
    }
}
