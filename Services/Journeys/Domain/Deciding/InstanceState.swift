package import Models

/// One passage of a profile through one version of a journey.
package struct InstanceState: Hashable, Sendable {
    package let id: InstanceID
    package let journey: String
    package let version: Int
    package var profileID: ProfileID
    package let enteredAt: Instant
    /// The fact that let it in; the same fact never lets in twice.
    package let triggerKey: String
    /// The same as templates see it.
    package let trigger: JSON

    /// The latest instant that was decided about. Late facts don't turn it back.
    package var time: Instant
    package var endedAt: Instant?
    package var endReason: String?
    /// The step where it stands, since when, and when that ends by itself.
    package var step: String?
    package var waitingSince: Instant?
    package var dueAt: Instant?

    package var visits: [String: Int] = [:]
    package var variants: [String: String] = [:]
    /// The first occurrence since entry of each event that the journey asks about, by the pattern's key.
    package var seen: [String: EventMark] = [:]
    /// Messages that ended a wait; a duplicate of one must not end the next.
    package var consumed: [String] = []
    /// Sends, as `step visit`, that were asked for while the profile was taken for another as well, with their intents.
    /// Where the instance has yet to come to one, now that it is not, the same intent is asked for again: it counts
    /// unless the message went out. Without an intent, as it was noted at first, nothing is asked for.
    package var sentBefore: [String: IntentID?] = [:]
    /// Entries of the history so far.
    package var entries = 0

    package var isRunning: Bool { endedAt == nil }

    /// How `sentBefore` names a send.
    package static func send(_ step: String, visit: Int) -> String { "\(step) \(visit)" }

    package init(
        id: InstanceID, journey: String, version: Int, profileID: ProfileID, enteredAt: Instant,
        triggerKey: String, trigger: JSON
    ) {
        self.id = id
        self.journey = journey
        self.version = version
        self.profileID = profileID
        self.enteredAt = enteredAt
        self.triggerKey = triggerKey
        self.trigger = trigger
        time = enteredAt
    }
}

/// When an event was last seen.
package struct EventMark: Hashable, Sendable {
    package var at: Instant
    package var messageID: String

    package init(at: Instant, messageID: String) {
        self.at = at
        self.messageID = messageID
    }

    var json: JSON { ["at": .string(at.rfc3339), "messageId": .string(messageID)] }

    init(json: JSON, at path: String) throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        at = try fields.instant("at")
        messageID = try fields.string("messageId")
    }
}

extension InstanceState {
    package var json: JSON {
        func text(_ instant: Instant?) -> JSON { instant.map { .string($0.rfc3339) } ?? .null }
        var json: [String: JSON] = [
            "instanceId": .string(id.description), "journey": .string(journey),
            "version": .integer(Int64(version)), "profileId": .string(profileID.description),
            "enteredAt": text(enteredAt), "triggerKey": .string(triggerKey), "trigger": trigger,
            "time": text(time), "endedAt": text(endedAt), "endReason": endReason.map { .string($0) } ?? .null,
            "step": step.map { .string($0) } ?? .null, "waitingSince": text(waitingSince),
            "dueAt": text(dueAt),
            "visits": .object(visits.mapValues { .integer(Int64($0)) }),
            "variants": .object(variants.mapValues { .string($0) }),
            "seen": .object(seen.mapValues(\.json)), "consumed": .array(consumed.map { .string($0) }),
            "entries": .integer(Int64(entries)),
        ]
        if !sentBefore.isEmpty {
            json["sentBefore"] = .object(
                sentBefore.mapValues { intent in intent.map { JSON.string($0.description) } ?? .null })
        }
        return .object(json)
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            id: try fields.id("instanceId"), journey: try fields.string("journey"),
            version: Int(try fields.integer("version")), profileID: try fields.id("profileId"),
            enteredAt: try fields.instant("enteredAt"), triggerKey: try fields.string("triggerKey"),
            trigger: fields["trigger"] ?? .null)
        time = try fields.instant("time")
        endedAt = try fields.optionalInstant("endedAt")
        endReason = try fields.optionalString("endReason")
        step = try fields.optionalString("step")
        waitingSince = try fields.optionalInstant("waitingSince")
        dueAt = try fields.optionalInstant("dueAt")
        visits = try fields.object("visits").compactMapValues { $0.integer.map(Int.init) }
        variants = try fields.object("variants").compactMapValues(\.string)
        for (key, mark) in try fields.object("seen") {
            seen[key] = try EventMark(json: mark, at: fields.path(of: "seen"))
        }
        consumed = try fields.array("consumed").compactMap(\.string)
        entries = Int(try fields.integer("entries"))
        for key in (fields["sentBefore"]?.array ?? []).compactMap(\.string) {
            sentBefore.updateValue(nil, forKey: key)
        }
        for (key, intent) in fields["sentBefore"]?.object ?? [:] {
            sentBefore.updateValue(intent.string.flatMap { IntentID($0) }, forKey: key)
        }
    }
}
