import Models
import Postgres
import ServiceKit

/// What delivery holds about a person, and its erasure.
struct ErasureStore: Sendable {
    let sealing: MessageSealing
    /// Where mails are files, if they are.
    let files: FileTransport?

    func access(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> JSON {
        let rows = try await transaction.query(
            """
            SELECT m.message_id, m.journey, m.step, m.channel, m.template, m.purpose, m.state, m.reason, m.subject,
                   m.variables, m.wanted_at, m.updated_at, m.shard, m.evidence,
                   (SELECT coalesce(sum(e.count), 0)::bigint FROM delivery.engagement e
                    WHERE e.shard = m.shard AND e.message_id = m.message_id AND e.kind = 'open') AS opens,
                   (SELECT coalesce(sum(e.count), 0)::bigint FROM delivery.engagement e
                    WHERE e.shard = m.shard AND e.message_id = m.message_id AND e.kind = 'click') AS clicks
            FROM delivery.message m WHERE m.profile_id = ANY(\(profiles)::uuid[]) ORDER BY m.message_id
            """)
        var messages: [JSON] = []
        for row in rows { messages.append(try await message(row, in: transaction)) }
        let objections = try await transaction.query(
            """
            SELECT profile_id, purpose, at FROM delivery.objection
            WHERE (shard, profile_id) IN (SELECT * FROM unnest(
                \(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]))
            ORDER BY at
            """
        ).map { row -> JSON in
            [
                "profileId": .string(try row.get("profile_id", as: ProfileID.self).description),
                "purpose": .string(try row.get("purpose")),
                "at": .string(try row.get("at", as: Instant.self).rfc3339),
            ]
        }
        return ["messages": .array(messages), "objections": .array(objections)]
    }

    private func message(
        _ row: PostgresRow, in transaction: PostgresTransaction
    ) async throws -> JSON {
        let id: MessageID = try row.get("message_id")
        let subject = try await sealing.open(try row.get("subject", as: String?.self), .subject, of: id)
        return [
            "messageId": .string(id.description),
            "journey": .string(try row.get("journey")), "step": .string(try row.get("step")),
            "channel": .string(try row.get("channel")),
            "template": .string(try row.get("template")),
            "purpose": .string(try row.get("purpose")), "status": .string(try row.get("state")),
            "reason": try row.get("reason", as: String?.self).map(JSON.string) ?? .null,
            "subject": subject.map(JSON.string) ?? .null,
            "variables": try await sealing.openJSON(try row.get("variables"), .variables, of: id),
            "wantedAt": .string(try row.get("wanted_at", as: Instant.self).rfc3339),
            "updatedAt": .string(try row.get("updated_at", as: Instant.self).rfc3339),
            "opens": .integer(try row.get("opens")), "clicks": .integer(try row.get("clicks")),
            "evidence": try await sealing.openJSON(
                try row.get("evidence", as: String?.self), .evidence, of: id),
            "attempts": .array(
                try await MessageStore(sealing: sealing).attempts(
                    of: id, in: try row.get("shard"), in: transaction)),
        ]
    }

    /// Deletes the messages and all that hangs on them. The suppression list stays: it holds no address, only a
    /// keyed hash, and it is what keeps the person from being written to again.
    /// `addresses` are those that the person had, as far as identity has said.
    func erase(
        _ profiles: [ProfileID], addresses: [AddressKey] = [], in transaction: PostgresTransaction
    ) async throws -> JSON {
        var counts: [String: JSON] = [:]
        // Whoever is at one of them writes first, and what was written goes as well.
        _ = try await transaction.query(
            "SELECT FROM delivery.message WHERE profile_id = ANY(\(profiles)::uuid[]) FOR UPDATE")
        for table in ["engagement", "attempt", "deadline"] {
            counts[table] = .integer(
                Int64(
                    try await transaction.execute(
                        """
                        DELETE FROM delivery.\(unsafe: table) x USING delivery.message m
                        WHERE m.profile_id = ANY(\(profiles)::uuid[])
                          AND x.shard = m.shard AND x.message_id = m.message_id
                        """)))
        }
        let messages = try await transaction.query(
            "DELETE FROM delivery.message WHERE profile_id = ANY(\(profiles)::uuid[]) RETURNING message_id")
        counts["message"] = .integer(Int64(messages.count))
        try await transaction.execute(
            "DELETE FROM delivery.message_remnant WHERE profile_id = ANY(\(profiles)::uuid[])")
        // Before the commit: should that fail, the rows are there to find them by once more.
        if let files {
            var removed = 0
            for row in messages where await files.remove(try row.get("message_id")) { removed += 1 }
            for id in try await NoticeFileStore().forget(addresses, of: profiles, in: transaction)
            where await files.remove(id) { removed += 1 }
            counts["file"] = .integer(Int64(removed))
        }
        counts["objection"] = .integer(
            Int64(try await ObjectionStore().forget(profiles, in: transaction)))
        return .object(counts)
    }
}
