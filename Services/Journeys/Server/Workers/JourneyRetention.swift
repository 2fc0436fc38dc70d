import Models
import Postgres
import ServiceKit
import Streams

/// Lets go of journeys that were left longer ago than the retention policy has them kept: what happened in them, what they asked
/// to be sent, and who was in them. The last time that somebody was in each stays: `reentry` asks for it, and they would be let
/// in once more.
struct JourneyRetention: Sendable {
    let intents: StreamHistory

    func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        guard let boundary = current.policy.boundary(of: .journeyHistory, now: now) else { return [] }
        let sweep = StreamSweep(
            RetentionStore(schema: ServiceName.journeys.schema), task: "intents",
            table: "journeys.stream_intents")
        return [
            RetentionTask(.journeyHistory, rule: "instances", before: boundary) { step, transaction in
                let rows = try await Self.deleteInstances(step, in: transaction)
                return .init(rows: rows, isDone: rows < step.limit)
            },
            RetentionTask(.journeyHistory, rule: "history", before: boundary) { step, transaction in
                let rows = try await Self.deleteHistory(step, in: transaction)
                return .init(rows: rows, isDone: rows < step.limit)
            },
            RetentionTask(.journeyHistory, rule: "intents", before: boundary) { [intents] step, transaction in
                try await sweep.step(step, in: transaction) { shard, after, upTo in
                    try await intents.rewrite(shard, after: after, upTo: upTo, at: step.now, in: transaction)
                    { body in
                        guard var members = body.object, members["variables"]?.object?.isEmpty == false else {
                            return nil
                        }
                        members["variables"] = [:]
                        return .object(members)
                    }
                }
            },
        ]
    }

    /// Of those who were let in, once they have left; and of those who were not.
    private static func deleteHistory(
        _ step: RetentionTask.Step, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM journeys.instance_history WHERE (shard, history_id) IN (
                SELECT shard, history_id FROM journeys.instance_history h
                WHERE at < \(step.boundary) AND NOT EXISTS (
                    SELECT FROM journeys.instance i WHERE i.shard = h.shard AND i.instance_id = h.instance_id
                        AND (i.ended_at IS NULL OR i.ended_at >= \(step.boundary)))
                ORDER BY at LIMIT \(Int64(step.limit)))
            """)
    }

    private static func deleteInstances(
        _ step: RetentionTask.Step, in transaction: PostgresTransaction
    ) async throws -> Int {
        let rows = try await transaction.query(
            """
            SELECT shard, instance_id FROM journeys.instance i
            WHERE ended_at < \(step.boundary) AND EXISTS (
                SELECT FROM journeys.instance l
                WHERE l.shard = i.shard AND l.profile_id = i.profile_id AND l.journey_id = i.journey_id
                    AND (l.entered_at, l.instance_id) > (i.entered_at, i.instance_id)
                    AND l.end_reason IS DISTINCT FROM 'unmerged')
            ORDER BY ended_at LIMIT \(Int64(step.limit)) FOR UPDATE SKIP LOCKED
            """)
        let shards = try rows.map { try $0.get("shard", as: Shard.self) }
        let ids = try rows.map { try $0.get("instance_id", as: InstanceID.self) }
        guard !ids.isEmpty else { return 0 }
        for table in ["intent", "instance_history", "deadline", "instance"] {
            try await transaction.execute(
                """
                DELETE FROM journeys.\(unsafe: table) x
                USING unnest(\(shards)::smallint[], \(ids)::uuid[]) AS i (shard, id)
                WHERE x.shard = i.shard AND x.instance_id = i.id
                """)
        }
        return ids.count
    }
}
