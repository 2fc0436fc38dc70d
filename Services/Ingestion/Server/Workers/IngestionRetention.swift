import Models
import Postgres
import Sealing
import ServiceKit

/// What ingestion lets go of by the retention policy: events as they came, what could not be taken in, and imports.
///
/// Raw events and quarantined items lie under keys of days. Where both are kept no longer, the day's key is destroyed, so that
/// also what a backup holds of them is unreadable. Offsets stay without gaps and the account stays true: of an event its row
/// remains, which says nothing.
struct IngestionRetention: Sendable {
    let vault: Vault
    /// What `MARTLET_INGESTION_RETENTION` says. It holds until somebody writes a policy, and from then on nothing but that.
    let setting: Duration?

    /// `MARTLET_INGESTION_RETENTION`.
    init(vault: Vault, settings: ServiceSettings) throws(SettingsError) {
        self.vault = vault
        guard settings.string("INGESTION_RETENTION") != nil else {
            setting = nil
            return
        }
        let duration = try settings.duration("INGESTION_RETENTION", default: .zero)
        guard duration >= RetentionClass.rawEvents.floor else {
            throw .invalid("MARTLET_INGESTION_RETENTION", expected: "a duration of 7d or more")
        }
        setting = duration
    }

    func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        var policy = current.policy
        if current.isInitial, let setting {
            policy.keep[.rawEvents] = setting
            policy.keep[.quarantine] = setting
        }
        var tasks: [RetentionTask] = []
        if let boundary = policy.boundary(of: .rawEvents, now: now) {
            let sweep = StreamSweep(
                RetentionStore(schema: ServiceName.ingestion.schema), task: "rawEvents",
                table: "ingestion.stream_events")
            tasks.append(
                RetentionTask(.rawEvents, before: boundary) { step, transaction in
                    try await sweep.step(step, in: transaction) { shard, after, upTo in
                        try await Self.bury(on: shard, after: after, upTo: upTo, at: step, in: transaction)
                    }
                })
            if let other = policy.boundary(of: .quarantine, now: now) {
                let day = SealingDay(min(boundary, other))
                tasks.append(
                    RetentionTask(.rawEvents, rule: "keys of days", before: day.start) {
                        [vault] step, transaction in
                        .init(rows: try await vault.days.destroy(before: day, in: transaction), isDone: true)
                    })
            }
        }
        tasks += [
            RetentionTask(.quarantine, by: policy, at: now) { step, transaction in
                try await QuarantineStore.empty(
                    before: step.boundary, limit: step.limit, in: transaction)
            },
            RetentionTask(.imports, by: policy, at: now) { step, transaction in
                try await Self.deleteImports(step, in: transaction)
            },
        ].compactMap { $0 }
        return tasks
    }

    /// Puts the tombstone that an erasure leaves in the place of events.
    private static func bury(
        on shard: Shard, after: Int64, upTo: Int64, at step: RetentionTask.Step,
        in transaction: PostgresTransaction
    ) async throws -> Int {
        let tombstone: JSON = ["kind": "erased", "at": .string(step.now.rfc3339)]
        return try await transaction.execute(
            """
            UPDATE stream_events SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            WHERE shard = \(shard) AND "offset" > \(after) AND "offset" <= \(upTo) AND key <> 'erased'
            """)
    }

    /// Those that have ended and whose file is gone; what they were about is in the raw log.
    private static func deleteImports(
        _ step: RetentionTask.Step, in transaction: PostgresTransaction
    ) async throws -> Int {
        let ids = try await transaction.query(
            """
            SELECT import_id FROM import
            WHERE ended_at < \(step.boundary) AND state IN ('done', 'cancelled', 'failed') AND NOT has_file
            ORDER BY import_id LIMIT \(Int64(step.limit)) FOR UPDATE SKIP LOCKED
            """
        ).map { try $0.get("import_id", as: ImportID.self) }
        guard !ids.isEmpty else { return 0 }
        try await transaction.execute(
            """
            DELETE FROM import_problem p
            USING unnest(\(ids.map { ImportStore.shard(of: $0) })::smallint[], \(ids)::uuid[]) AS i (shard, id)
            WHERE p.shard = i.shard AND p.import_id = i.id
            """)
        return try await transaction.execute("DELETE FROM import WHERE import_id = ANY(\(ids)::uuid[])")
    }
}
