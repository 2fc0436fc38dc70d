/// Something happened to a privacy request, or it is time to look at it: the body of the stream `privacy-changes`.
package struct PrivacyChange: Hashable, Sendable {
    package var requestID: PrivacyRequestID
    package var profileID: ProfileID
    /// What was asked for, such as `access`.
    package var type: String
    /// What happened, such as `verified`, `completed` or `overdue`.
    package var event: String
    /// Where the request stands now.
    package var state: String
    /// When it has to be answered.
    package var dueAt: Instant
    package var at: Instant

    package init(
        requestID: PrivacyRequestID, profileID: ProfileID, type: String, event: String, state: String,
        dueAt: Instant, at: Instant
    ) {
        self.requestID = requestID
        self.profileID = profileID
        self.type = type
        self.event = event
        self.state = state
        self.dueAt = dueAt
        self.at = at
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        requestID = try fields.id("requestId")
        profileID = try fields.id("profileId")
        type = try fields.string("type")
        event = try fields.string("event")
        state = try fields.string("state")
        dueAt = try fields.instant("dueAt")
        at = try fields.instant("at")
    }

    package var json: JSON {
        [
            "requestId": .string(requestID.description), "profileId": .string(profileID.description),
            "type": .string(type), "event": .string(event), "state": .string(state),
            "dueAt": .string(dueAt.rfc3339), "at": .string(at.rfc3339),
        ]
    }
}
