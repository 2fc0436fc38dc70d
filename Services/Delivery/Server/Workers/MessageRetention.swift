import Models
import Postgres
import ServiceKit

/// Lets go of messages that were settled longer ago than the retention policy has them kept, with all that hangs on them, save
/// what it takes to unsubscribe by them. Any other link in such a mail leads on as it does after an erasure, and nothing is
/// counted.
struct MessageRetention: Sendable {
    /// Where mails are files, if they are.
    let files: FileTransport?

    func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        [
            RetentionTask(.messages, by: current.policy, at: now) { step, transaction in
                try await delete(step, in: transaction)
            }
        ].compactMap { $0 }
    }

    private func delete(_ step: RetentionTask.Step, in transaction: PostgresTransaction) async throws -> Int {
        let rows = try await transaction.query(
            """
            SELECT shard, message_id FROM delivery.message
            WHERE state IN ('delivered', 'bounced', 'failed', 'suppressed') AND updated_at < \(step.boundary)
            ORDER BY updated_at LIMIT \(Int64(step.limit)) FOR UPDATE SKIP LOCKED
            """)
        let shards = try rows.map { try $0.get("shard", as: Shard.self) }
        let ids = try rows.map { try $0.get("message_id", as: MessageID.self) }
        guard !ids.isEmpty else { return 0 }
        // The link by which somebody unsubscribes works for as long as they have the mail.
        try await transaction.execute(
            """
            INSERT INTO delivery.message_remnant (shard, message_id, profile_id, purpose, address_hash)
            SELECT x.shard, x.message_id, x.profile_id, x.purpose, x.address_hash FROM delivery.message x
            JOIN unnest(\(shards)::smallint[], \(ids)::uuid[]) AS m (shard, id)
                ON x.shard = m.shard AND x.message_id = m.id
            WHERE x.state <> 'suppressed'
            ON CONFLICT DO NOTHING
            """)
        for table in ["engagement", "attempt", "deadline", "message"] {
            try await transaction.execute(
                """
                DELETE FROM delivery.\(unsafe: table) x
                USING unnest(\(shards)::smallint[], \(ids)::uuid[]) AS m (shard, id)
                WHERE x.shard = m.shard AND x.message_id = m.id
                """)
        }
        // Before the commit: should that fail, the rows are there to find them by once more.
        if let files { for id in ids { _ = await files.remove(id) } }
        return ids.count
    }
}
