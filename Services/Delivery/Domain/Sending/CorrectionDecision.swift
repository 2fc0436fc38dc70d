package import Models

/// Where a message stands, as far as it matters when journeys take back what they said of it.
package struct MessageStanding: Hashable, Sendable {
    package enum Stage: String, CaseIterable, Sendable {
        /// It is to be sent, now or after a while.
        case pending
        /// It is on its way: its attempt has not come to an end.
        case sending
        /// It was decided not to send it.
        case unsent
        /// It went out, was refused for good, or every attempt has failed.
        case settled
    }

    package var stage: Stage
    package var profileID: ProfileID
    package var wantedAt: Instant

    package init(_ stage: Stage, of profileID: ProfileID, wantedAt: Instant) {
        (self.stage, self.profileID, self.wantedAt) = (stage, profileID, wantedAt)
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            try fields.choice("stage"), of: try fields.id("profileId"),
            wantedAt: try fields.instant("wantedAt"))
    }

    /// For evidence.
    package var json: JSON {
        [
            "stage": .string(stage.rawValue), "profileId": .string(profileID.description),
            "wantedAt": .string(wantedAt.rfc3339),
        ]
    }
}

/// What a correction means for a message. What has gone out stays what it was.
package enum CorrectionDecision: Hashable, Sendable {
    case nothing
    /// That depends on how the attempt ends; only the latest word counts then.
    case later
    /// It is this profile's, wanted at this instant; `startsAgain` when no attempt was made for them yet.
    case restate(ProfileID, wantedAt: Instant, startsAgain: Bool)
    /// It isn't sent.
    case cancel

    package static func decide(_ correction: IntentCorrection, _ message: MessageStanding)
        -> CorrectionDecision
    {
        switch (message.stage, correction.kind) {
        case (.settled, _): return .nothing
        case (.sending, _): return .later
        case (.pending, .withdrawn): return .cancel
        // Whatever the reason was, it was another time, and maybe another person's.
        case (.unsent, .renewed):
            return .restate(correction.profileID, wantedAt: correction.at, startsAgain: true)
        case (.unsent, .restated), (.unsent, .withdrawn): return .nothing
        case (.pending, .restated), (.pending, .renewed):
            let isOthers = correction.profileID != message.profileID
            guard isOthers || correction.at != message.wantedAt else { return .nothing }
            return .restate(correction.profileID, wantedAt: correction.at, startsAgain: isOthers)
        }
    }
}
