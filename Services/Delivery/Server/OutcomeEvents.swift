import DeliveryDomain
import Models
import Postgres
import ServiceKit

/// What happened to mails, as Segment's e-mail events on their way to ingestion.
struct OutcomeEvents: Sendable {
    private let outbox: Outbox
    /// Events in one call to ingestion.
    private static let batch = 100

    init(outbox: Outbox) {
        self.outbox = outbox
    }

    /// One event. `key` tells apart what may happen to a message more than once: the same happening always has
    /// the same message id, so that telling it twice counts once.
    static func event(
        _ name: String, of message: QueuedMessage, key: String, subject: String?, at now: Instant,
        _ more: [String: JSON] = [:]
    ) -> JSON {
        var properties = message.eventProperties
        if let subject { properties["email_subject"] = .string(subject) }
        properties.merge(more) { $1 }
        return [
            "type": "track", "event": .string(name), "messageId": .string("delivery:\(message.id):\(key)"),
            "profileId": .string(message.profileID.description), "timestamp": .string(now.rfc3339),
            "properties": .object(properties),
        ]
    }

    /// The event that a message wasn't sent.
    static func notSent(_ message: QueuedMessage, because reason: NonSendReason, at now: Instant) -> JSON {
        event(
            "Email Not Sent", of: message, key: "not-sent", subject: nil, at: now,
            ["reason": .string(reason.rawValue)])
    }

    /// Sends the events with the transaction's commit.
    func enqueue(_ events: [JSON], at now: Instant, in transaction: PostgresTransaction) async throws {
        var rest = events[...]
        var calls: [(target: ServiceName, method: String, path: String, body: JSON)] = []
        while !rest.isEmpty {
            calls.append((.ingestion, "POST", "/v1/batch", ["batch": .array(Array(rest.prefix(Self.batch)))]))
            rest = rest.dropFirst(Self.batch)
        }
        try await outbox.enqueue(calls, in: transaction, at: now)
    }
}
