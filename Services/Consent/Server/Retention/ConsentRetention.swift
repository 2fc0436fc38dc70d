import ConsentDomain
import Models
import Postgres
import ServiceKit

/// What consent itself lets go of: privacy requests that have ended, and before that what was found for them. The ledger is
/// never swept.
enum ConsentRetention {
    static func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        [
            RetentionTask(.privacyExports, by: current.policy, at: now) { step, transaction in
                try await PrivacyResultStore.dropFindings(
                    before: step.boundary, limit: step.limit, in: transaction)
            },
            RetentionTask(.privacyRequests, by: current.policy, at: now) { step, transaction in
                try await PrivacyRequestStore.delete(
                    endedBefore: step.boundary, limit: step.limit, in: transaction)
            },
        ].compactMap { $0 }
    }
}

extension PrivacyResultStore {
    /// Drops what was found for requests that ended before; their receipts still say how much it was.
    static func dropFindings(
        before boundary: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> Int {
        let parts = try await transaction.execute(
            """
            DELETE FROM privacy_result_part WHERE (shard, request_id, service, part) IN (
                SELECT p.shard, p.request_id, p.service, p.part FROM privacy_result_part p
                JOIN privacy_request q ON q.shard = p.shard AND q.request_id = p.request_id
                WHERE q.ended_at < \(boundary) AND q.type IN ('access', 'portability', 'know')
                LIMIT \(Int64(limit)) FOR UPDATE OF p SKIP LOCKED)
            """)
        let results = try await transaction.execute(
            """
            UPDATE privacy_result SET result = NULL WHERE (shard, request_id, service) IN (
                SELECT r.shard, r.request_id, r.service FROM privacy_result r
                JOIN privacy_request q ON q.shard = r.shard AND q.request_id = r.request_id
                WHERE r.result IS NOT NULL AND r.reported_at < \(boundary) AND q.ended_at < \(boundary)
                    AND q.type IN ('access', 'portability', 'know')
                LIMIT \(Int64(limit)) FOR UPDATE OF r SKIP LOCKED)
            """)
        return parts + results
    }
}

extension PrivacyRequestStore {
    /// Deletes requests that ended before, with all that was written down about them. A restriction that still holds stays, and
    /// so does its request.
    static func delete(
        endedBefore boundary: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> Int {
        let rows = try await transaction.query(
            """
            SELECT shard, request_id FROM privacy_request q
            WHERE ended_at < \(boundary) AND state IN ('completed', 'refused', 'cancelled')
                AND NOT EXISTS (SELECT FROM profiles.restriction r WHERE r.request_id = q.request_id)
            ORDER BY ended_at LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED
            """)
        let shards = try rows.map { try $0.get("shard", as: Shard.self) }
        let ids = try rows.map { try $0.get("request_id", as: PrivacyRequestID.self) }
        guard !ids.isEmpty else { return 0 }
        for table in [
            "privacy_step", "privacy_token", "privacy_result", "privacy_result_part", "privacy_recipient",
            "privacy_request",
        ] {
            try await transaction.execute(
                """
                DELETE FROM \(unsafe: table) x
                USING unnest(\(shards)::smallint[], \(ids)::uuid[]) AS q (shard, id)
                WHERE x.shard = q.shard AND x.request_id = q.id
                """)
        }
        return ids.count
    }
}
