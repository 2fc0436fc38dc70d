/// A journey wants a message sent: what the stream `intents` is about.
package struct SendIntent: Hashable, Sendable {
    /// A message that is still to be sent this long after it was wanted is sent no more.
    package static let lifetime = Duration.days(3)

    package var intentID: IntentID
    package var journey: String
    package var journeyVersion: Int
    package var instanceID: InstanceID
    package var step: String
    package var profileID: ProfileID
    /// The name of the channel, such as `email`.
    package var channel: String
    package var template: String
    /// The purpose that the consent must cover.
    package var purpose: String
    /// What the template may use.
    package var variables: [String: JSON]
    package var at: Instant

    package init(
        intentID: IntentID, journey: String, journeyVersion: Int, instanceID: InstanceID, step: String,
        profileID: ProfileID, channel: String = "email", template: String, purpose: String,
        variables: [String: JSON] = [:], at: Instant
    ) {
        self.intentID = intentID
        self.journey = journey
        self.journeyVersion = journeyVersion
        self.instanceID = instanceID
        self.step = step
        self.profileID = profileID
        self.channel = channel
        self.template = template
        self.purpose = purpose
        self.variables = variables
        self.at = at
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        intentID = try fields.id("intentId")
        journey = try fields.string("journey")
        journeyVersion = Int(try fields.integer("journeyVersion"))
        instanceID = try fields.id("instanceId")
        step = try fields.string("step")
        profileID = try fields.id("profileId")
        channel = try fields.string("channel")
        template = try fields.string("template")
        purpose = try fields.string("purpose")
        variables = try fields.objectIfPresent("variables")
        at = try fields.instant("at")
    }

    package var json: JSON {
        [
            "intentId": .string(intentID.description), "journey": .string(journey),
            "journeyVersion": .integer(Int64(journeyVersion)), "instanceId": .string(instanceID.description),
            "step": .string(step), "profileId": .string(profileID.description), "channel": .string(channel),
            "template": .string(template), "purpose": .string(purpose), "variables": .object(variables),
            "at": .string(at.rfc3339),
        ]
    }
}
