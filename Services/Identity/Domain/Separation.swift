package import Models

/// A merge that was undone and not allowed again: the people of the two profiles stay apart.
package struct Separation: Hashable, Sendable {
    package var mergeID: MergeID
    package var left: ProfileID
    package var right: ProfileID

    package init(mergeID: MergeID, left: ProfileID, right: ProfileID) {
        self.mergeID = mergeID
        self.left = left
        self.right = right
    }
}

/// A merge that no event asks for.
package struct MergeOrder: Hashable, Sendable {
    package var id: MergeID
    /// The rule with its version, or the operator with their note.
    package var cause: JSON
    package var at: Instant
    /// Whether somebody has looked at it: then also two people with a `userId` each are joined, and those whose merge
    /// was undone.
    package var isExplicit: Bool

    package init(id: MergeID, cause: JSON, at: Instant, isExplicit: Bool) {
        self.id = id
        self.cause = cause
        self.at = at
        self.isExplicit = isExplicit
    }
}

/// Why two profiles are not merged.
package enum MergeRefusal: Error, Hashable, Sendable {
    case unknownProfile(ProfileID)
    /// Both are the person of this profile already; a merge would close a circle.
    case alreadyOne(ProfileID)
    case erased(ProfileID)
    /// Each has a `userId`, and nobody says that both are the same person's.
    case bothKnown
    /// The merge was undone, and this is reported there.
    case undone(MergeID)
}
