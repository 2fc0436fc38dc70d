import DeliveryDomain
import Models
import Postgres

/// Where a message stands.
enum MessageState: String, CaseIterable, Sendable {
    case queued
    case sending
    /// For the next attempt.
    case waiting
    case delivered
    case bounced
    case failed
    /// It wasn't sent, for the reason beside it.
    case suppressed
}

/// A message as the queue has it.
struct QueuedMessage: Sendable {
    var shard: Shard
    var id: MessageID
    var profileID: ProfileID
    var journey: String
    var journeyVersion: Int
    var step: String
    var channel: String
    var template: String
    var purpose: String
    var variables: [String: JSON]
    var wantedAt: Instant
    /// Attempts so far.
    var attempts: Int
    /// How many of them were made for somebody else, before a merge was undone.
    var priorAttempts: Int
    /// What journeys said of it last, after they had asked for it.
    var correction: IntentCorrection?
    /// Whether that was said during an attempt and has yet to count.
    var isCorrectionDue: Bool

    static let columns: SQL = """
        m.shard, m.message_id, m.profile_id, m.journey, m.journey_version, m.step, m.channel, m.template,
        m.purpose, m.variables, m.wanted_at, m.attempts, m.prior_attempts, m.correction, m.correction_due
        """

    init(_ row: PostgresRow, _ sealing: MessageSealing) async throws {
        shard = try row.get("shard")
        id = try row.get("message_id")
        profileID = try row.get("profile_id")
        journey = try row.get("journey")
        journeyVersion = try row.get("journey_version")
        step = try row.get("step")
        channel = try row.get("channel")
        template = try row.get("template")
        purpose = try row.get("purpose")
        variables = try await sealing.openJSON(try row.get("variables"), .variables, of: id).object ?? [:]
        wantedAt = try row.get("wanted_at")
        attempts = try row.get("attempts")
        priorAttempts = try row.get("prior_attempts")
        correction = try row.get("correction", as: JSON?.self).map { try IntentCorrection(json: $0) }
        isCorrectionDue = try row.get("correction_due")
    }

    /// The fields of Segment's e-mail events that every outcome carries.
    var eventProperties: [String: JSON] {
        [
            "email_id": .string(id.description), "campaign_id": .string(journey),
            "campaign_name": .string(journey), "step": .string(step), "template": .string(template),
            "purpose": .string(purpose),
        ]
    }
}
