import JourneysDomain
import Models
import Postgres
import Sealing

/// The statements about profiles and their instances; one method each.
struct ProfileTables {
    let transaction: PostgresTransaction
    let vault: Vault
    var sealing: InstanceSealing { InstanceSealing(days: vault.days) }

    /// A profile's row as it was locked.
    struct LockedProfile {
        var memory: ProfileMemory
        var survivor: ProfileID?
    }

    /// Makes the rows that are missing, and locks them all until the transaction ends, shard by shard and in
    /// the order of ids, so that two transactions never wait for each other in a circle.
    func lock(_ ids: Set<ProfileID>) async throws -> [ProfileID: LockedProfile] {
        let byShard = Dictionary(grouping: ids.sorted(), by: { Shard($0) }).sorted { $0.key < $1.key }
        let statements: [SQL] = byShard.flatMap { shard, ids -> [SQL] in
            [
                """
                INSERT INTO journeys.profile (shard, profile_id)
                SELECT \(shard)::smallint, id FROM unnest(\(ids)::uuid[]) AS w (id) ORDER BY id
                ON CONFLICT DO NOTHING
                """,
                """
                SELECT profile_id, memory, survivor_id FROM journeys.profile
                WHERE shard = \(shard) AND profile_id = ANY(\(ids)::uuid[])
                ORDER BY profile_id FOR UPDATE
                """,
            ]
        }
        var locked: [ProfileID: LockedProfile] = [:]
        for row in try await transaction.pipeline(statements).joined() {
            locked[try row.get("profile_id")] = LockedProfile(
                memory: try ProfileMemory(json: try await sealing.memory(row)),
                survivor: try row.get("survivor_id"))
        }
        return locked
    }

    /// The running instances of the profiles, whole.
    func running(_ ids: [ProfileID]) async throws -> [ProfileID: [InstanceState]] {
        let rows = try await transaction.query(
            """
            SELECT i.profile_id, i.instance_id, i.due_at, i.state
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
            JOIN journeys.instance i ON i.shard = w.shard AND i.profile_id = w.profile_id AND i.ended_at IS NULL
            ORDER BY i.instance_id
            """)
        var running: [ProfileID: [InstanceState]] = [:]
        for row in rows {
            running[try row.get("profile_id"), default: []].append(try await sealing.state(row))
        }
        return running
    }

    /// What has been, of all instances of the profiles.
    func past(_ ids: [ProfileID]) async throws -> [ProfileID: [String: JourneyPast]] {
        let rows = try await transaction.query(
            """
            SELECT i.profile_id, i.journey_id, i.entered_at, i.ended_at, i.end_reason, i.trigger_key
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
            JOIN journeys.instance i ON i.shard = w.shard AND i.profile_id = w.profile_id
            """)
        var past: [ProfileID: [String: JourneyPast]] = [:]
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            let journey: String = try row.get("journey_id")
            if try row.get("end_reason", as: String?.self) == InstanceDecider.unmerged {
                past[id, default: [:]][journey, default: JourneyPast()]
                    .noteTrigger(try row.get("trigger_key"))
                continue
            }
            past[id, default: [:]][journey, default: JourneyPast()].note(
                enteredAt: try row.get("entered_at"), endedAt: try row.get("ended_at", as: Instant?.self),
                triggerKey: try row.get("trigger_key"))
        }
        return past
    }

    func write(memories: [ProfileID: ProfileMemory], at now: Instant) async throws {
        guard !memories.isEmpty else { return }
        let memories = memories.sorted { $0.key < $1.key }
        let key = try await vault.days.key(at: now)
        let sealed = try memories.map { id, memory in
            try key.seal(memory.json, at: InstanceSealing.memory(of: id)).compact
        }
        try await transaction.execute(
            """
            UPDATE journeys.profile p SET memory = w.memory::jsonb
            FROM unnest(\(memories.map { Shard($0.key) })::smallint[], \(memories.map(\.key))::uuid[],
                        \(sealed)::text[]) AS w (shard, profile_id, memory)
            WHERE p.shard = w.shard AND p.profile_id = w.profile_id
            """)
    }

    /// Writes instances, those that ended first: a profile may have left a journey and entered it again.
    func write(instances: [InstanceState], at now: Instant) async throws {
        guard !instances.isEmpty else { return }
        let instances = instances.sorted { ($0.isRunning ? 1 : 0, $0.id) < ($1.isRunning ? 1 : 0, $1.id) }
        let key = try await vault.days.key(at: now)
        let states = try instances.map { instance in
            try key.seal(instance.json, at: InstanceSealing.state(of: instance.id)).compact
        }
        try await transaction.execute(
            """
            INSERT INTO journeys.instance
                (shard, instance_id, profile_id, journey_id, version, entered_at, trigger_key, step, due_at,
                 ended_at, end_reason, state)
            SELECT w.shard, w.instance_id, w.profile_id, w.journey_id, w.version, w.entered_at, w.trigger_key,
                   w.step, w.due_at, w.ended_at, w.end_reason, w.state::jsonb
            FROM unnest(\(instances.map { Shard($0.profileID) })::smallint[], \(instances.map(\.id))::uuid[],
                        \(instances.map(\.profileID))::uuid[], \(instances.map(\.journey))::text[],
                        \(instances.map(\.version))::integer[], \(instances.map(\.enteredAt))::timestamptz[],
                        \(instances.map(\.triggerKey))::text[], \(instances.map(\.step))::text[],
                        \(instances.map(\.dueAt))::timestamptz[], \(instances.map(\.endedAt))::timestamptz[],
                        \(instances.map(\.endReason))::text[], \(states)::text[])
                 AS w (shard, instance_id, profile_id, journey_id, version, entered_at, trigger_key, step,
                       due_at, ended_at, end_reason, state)
            ON CONFLICT (shard, instance_id) DO UPDATE
            SET profile_id = excluded.profile_id, step = excluded.step, due_at = excluded.due_at,
                ended_at = excluded.ended_at, end_reason = excluded.end_reason, state = excluded.state
            """)
    }

    /// Sets the timers of instances: those that stand get theirs, the others lose it. Returns whether one was set.
    func write(deadlinesOf instances: [InstanceState], paused: (String) -> Bool) async throws -> Bool {
        guard !instances.isEmpty else { return false }
        try await transaction.execute(
            """
            DELETE FROM journeys.deadline d
            USING unnest(\(instances.map { Shard($0.profileID) })::smallint[], \(instances.map(\.id))::uuid[])
                  AS w (shard, instance_id)
            WHERE d.shard = w.shard AND d.instance_id = w.instance_id
            """)
        let standing = instances.filter { InstanceDecider.nextDeadline($0) != nil && !paused($0.journey) }
        guard !standing.isEmpty else { return false }
        try await transaction.execute(
            """
            INSERT INTO journeys.deadline (shard, instance_id, profile_id, due_at)
            SELECT * FROM unnest(\(standing.map { Shard($0.profileID) })::smallint[],
                                 \(standing.map(\.id))::uuid[], \(standing.map(\.profileID))::uuid[],
                                 \(standing.map(\.dueAt))::timestamptz[])
            """)
        return true
    }

    func write(history: [HistoryEntry], at now: Instant) async throws {
        guard !history.isEmpty else { return }
        let key = try await vault.days.key(at: now)
        func sealed(_ column: String, _ value: (HistoryEntry) -> JSON) throws -> [String] {
            try history.map { entry in
                try key.seal(value(entry), at: InstanceSealing.history(column, of: entry.id.description))
                    .compact
            }
        }
        let causes = try sealed("cause", \.cause)
        let details = try sealed("detail", \.detail)
        try await transaction.execute(
            """
            INSERT INTO journeys.instance_history
                (shard, history_id, profile_id, instance_id, journey_id, version, ordinal, kind, step, at,
                 cause, detail)
            SELECT w.shard, w.history_id, w.profile_id, w.instance_id, w.journey_id, w.version, w.ordinal,
                   w.kind, w.step, w.at, w.cause::jsonb, w.detail::jsonb
            FROM unnest(\(history.map { Shard($0.profileID) })::smallint[], \(history.map(\.id))::uuid[],
                        \(history.map(\.profileID))::uuid[], \(history.map(\.instanceID))::uuid[],
                        \(history.map(\.journey))::text[], \(history.map(\.version))::integer[],
                        \(history.map(\.ordinal))::integer[], \(history.map(\.kind.rawValue))::text[],
                        \(history.map(\.step))::text[], \(history.map(\.at))::timestamptz[],
                        \(causes)::text[], \(details)::text[])
                 AS w (shard, history_id, profile_id, instance_id, journey_id, version, ordinal, kind, step, at,
                       cause, detail)
            ON CONFLICT DO NOTHING
            """)
    }

}
