/// What journeys say of the messages that they want sent: the body of the stream `intents`.
///
/// All that is said of one intent is in the shard in which it was told first, in order.
package enum IntentFact: Hashable, Sendable {
    /// A journey wants a message sent.
    case wanted(SendIntent)
    /// It turns out that the message is another's, or not wanted (yet), because a merge was undone.
    case corrected(IntentCorrection)
    /// A merge was undone, and all that follows from it for the intents before this in the shard has been said.
    case unmerged(MergeID, at: Instant)

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        switch try fields.optionalString("kind") {
        // The oldest kind has no name of its own.
        case nil: self = .wanted(try SendIntent(json: json))
        case "unmerged": self = .unmerged(try fields.id("mergeId"), at: try fields.instant("at"))
        default: self = .corrected(try IntentCorrection(json: json))
        }
    }

    package var json: JSON {
        switch self {
        case .wanted(let intent): intent.json
        case .corrected(let correction): correction.json
        case .unmerged(let mergeID, let at):
            [
                "kind": "unmerged", "mergeId": .string(mergeID.description), "at": .string(at.rfc3339),
            ]
        }
    }
}

/// What is true of an intent now that a merge was undone. It holds nothing personal: what the message says stays as it
/// was told, because it depends on the passage through the journey alone.
package struct IntentCorrection: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        /// It would have been wanted as well, by this profile and at this instant.
        case restated
        /// It would not have been wanted by now.
        case withdrawn
        /// It is wanted now, after it was withdrawn. Whatever went out in the meantime stands for it.
        case renewed
    }

    package var kind: Kind
    package var intentID: IntentID
    /// Whose message it is.
    package var profileID: ProfileID
    /// When it was wanted.
    package var at: Instant
    /// The merge that was undone; nil when that is not known any more.
    package var mergeID: MergeID?

    package init(
        _ kind: Kind, _ intentID: IntentID, of profileID: ProfileID, at: Instant, mergeID: MergeID?
    ) {
        self.kind = kind
        self.intentID = intentID
        self.profileID = profileID
        self.at = at
        self.mergeID = mergeID
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        kind = try fields.choice("kind")
        intentID = try fields.id("intentId")
        profileID = try fields.id("profileId")
        at = try fields.instant("at")
        mergeID = try fields.optionalID("mergeId")
    }

    package var json: JSON {
        [
            "kind": .string(kind.rawValue), "intentId": .string(intentID.description),
            "profileId": .string(profileID.description), "at": .string(at.rfc3339),
            "mergeId": mergeID.map { .string($0.description) } ?? .null,
        ]
    }
}
