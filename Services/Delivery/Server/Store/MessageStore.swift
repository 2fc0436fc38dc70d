import DeliveryDomain
import Models
import Postgres
import ProfileStore

/// Messages as the API shows them.
struct MessageStore: Sendable {
    let sealing: MessageSealing

    private static let columns: SQL = """
        m.shard, m.message_id, m.intent_id, m.profile_id, m.journey, m.journey_version, m.instance_id, m.step,
        m.channel, m.template, m.purpose, m.state, m.reason, m.attempts, m.wanted_at, m.updated_at, m.subject
        """

    /// Newest first.
    func page(
        profiles: [ProfileID]?, state: MessageState?, before: MessageID?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [(id: MessageID, json: JSON)] {
        var conditions: [SQL] = ["true"]
        if let profiles { conditions.append("m.profile_id = ANY(\(profiles)::uuid[])") }
        if let state { conditions.append("m.state = \(state.rawValue)") }
        if let before { conditions.append("m.message_id < \(before)") }
        let rows = try await session.query(
            """
            SELECT \(Self.columns) FROM delivery.message m WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY m.message_id DESC LIMIT \(limit)
            """)
        var page: [(id: MessageID, json: JSON)] = []
        for row in rows { page.append((try row.get("message_id"), .object(try await summary(row)))) }
        return page
    }

    func detail(_ id: MessageID, in session: some PostgresSession) async throws -> JSON? {
        guard
            let row = try await session.query(
                """
                SELECT \(Self.columns), m.variables, m.evidence, m.links, m.correction FROM delivery.message m
                WHERE m.message_id = \(id)
                """
            ).first
        else { return nil }
        var detail = try await summary(row)
        let shard: Shard = try row.get("shard")
        let links = try await sealing.openLinks(try row.get("links"), of: id)
        detail["variables"] = try await sealing.openJSON(try row.get("variables"), .variables, of: id)
        detail["evidence"] = try await sealing.openJSON(
            try row.get("evidence", as: String?.self), .evidence, of: id)
        detail["correction"] = try row.get("correction", as: JSON?.self) ?? .null
        detail["attemptList"] = .array(try await attempts(of: id, in: shard, in: session))
        detail["engagement"] = .array(
            try await session.query(
                """
                SELECT kind, link_key, first_at, last_at, count FROM delivery.engagement
                WHERE shard = \(shard) AND message_id = \(id) ORDER BY first_at, kind, link_key
                """
            ).map { row in
                [
                    "kind": .string(try row.get("kind")),
                    "url": links[try row.get("link_key", as: String.self)].map(JSON.string) ?? .null,
                    "firstAt": .string(try row.get("first_at", as: Instant.self).rfc3339),
                    "lastAt": .string(try row.get("last_at", as: Instant.self).rfc3339),
                    "count": .integer(try row.get("count")),
                ]
            })
        return .object(detail)
    }

    /// What came of each attempt to send a message.
    func attempts(
        of id: MessageID, in shard: Shard, in session: some PostgresSession
    ) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT attempt, finished_at, outcome, detail FROM delivery.attempt
            WHERE shard = \(shard) AND message_id = \(id) ORDER BY attempt
            """)
        var attempts: [JSON] = []
        for row in rows {
            let attempt: Int64 = try row.get("attempt")
            let detail = try await sealing.open(
                try row.get("detail", as: String?.self), .detail, of: id, "\(attempt)")
            attempts.append([
                "attempt": .integer(attempt),
                "finishedAt": .string(try row.get("finished_at", as: Instant.self).rfc3339),
                "outcome": .string(try row.get("outcome")), "detail": .string(detail ?? ""),
            ])
        }
        return attempts
    }

    private func summary(_ row: PostgresRow) async throws -> [String: JSON] {
        let id: MessageID = try row.get("message_id")
        let subject = try await sealing.open(try row.get("subject", as: String?.self), .subject, of: id)
        return [
            "messageId": .string(id.description),
            "intentId": .string(try row.get("intent_id", as: IntentID.self).description),
            "profileId": .string(try row.get("profile_id", as: ProfileID.self).description),
            "journey": .string(try row.get("journey")),
            "journeyVersion": .integer(try row.get("journey_version")),
            "instanceId": .string(try row.get("instance_id", as: InstanceID.self).description),
            "step": .string(try row.get("step")), "channel": .string(try row.get("channel")),
            "template": .string(try row.get("template")), "purpose": .string(try row.get("purpose")),
            "status": .string(try row.get("state")),
            "reason": try row.get("reason", as: String?.self).map(JSON.string) ?? .null,
            "attempts": .integer(try row.get("attempts")),
            "wantedAt": .string(try row.get("wanted_at", as: Instant.self).rfc3339),
            "updatedAt": .string(try row.get("updated_at", as: Instant.self).rfc3339),
            "subject": subject.map(JSON.string) ?? .null,
        ]
    }
}
