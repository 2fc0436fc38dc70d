package import Models

/// What the resolver has to know of a profile.
package struct ProfileState: Hashable, Sendable {
    package var id: ProfileID
    /// The profile that it was merged into, itself if it wasn't; of the profiles in one snapshot this leads
    /// to the root, in one step or several.
    package var canonicalID: ProfileID
    package var createdAt: Instant
    /// Whether the person, of whom this is the canonical profile, has a `userId`. It says nothing of a profile
    /// that was merged into another.
    package var isKnown: Bool
    package var isErased: Bool
    /// Whether a merge of the person, of whom this is the canonical profile, was undone and must not be made again.
    package var isSeparated: Bool

    package init(
        id: ProfileID, canonicalID: ProfileID? = nil, createdAt: Instant, isKnown: Bool = false,
        isErased: Bool = false, isSeparated: Bool = false
    ) {
        self.id = id
        self.canonicalID = canonicalID ?? id
        self.createdAt = createdAt
        self.isKnown = isKnown
        self.isErased = isErased
        self.isSeparated = isSeparated
    }

    /// Which of two profiles stays when they are merged: the known one, else the older.
    func survives(_ other: ProfileState) -> Bool {
        if isKnown != other.isKnown { return isKnown }
        if createdAt != other.createdAt { return createdAt < other.createdAt }
        return id < other.id
    }
}
