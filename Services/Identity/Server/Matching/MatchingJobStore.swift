import IdentityDomain
import Models
import Postgres

/// The SQL of matching jobs.
enum MatchingJobStore {
    /// Announces that there is a job to be done.
    static let channel = "identity_matching"
    /// How often a job is taken up that never comes to its end.
    static let mostRuns = 5

    static func insert(
        _ definition: MatchingDefinition, id: MatchingJobID, records: Int = 0, refused: Int = 0,
        by caller: String, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> MatchingJob? {
        let rows = try await transaction.query(
            """
            INSERT INTO identity.matching_job
                (job_id, definition, state, created_at, created_by, records, refused_records)
            VALUES (\(id), \(definition.json), 'queued', \(now), \(caller), \(records), \(refused))
            RETURNING \(MatchingJob.columns)
            """)
        try await transaction.notify(channel)
        return try rows.first.map(MatchingJob.init)
    }

    /// Jobs that are not at their end.
    static func open(in session: some PostgresSession) async throws -> Int {
        try await session.query(
            "SELECT count(*) AS open FROM identity.matching_job WHERE state IN ('queued', 'running')"
        ).first?.get("open") ?? 0
    }

    static func find(_ id: MatchingJobID, in session: some PostgresSession) async throws -> MatchingJob? {
        try await session.query(
            "SELECT \(MatchingJob.columns) FROM identity.matching_job WHERE job_id = \(id)"
        ).first.map(MatchingJob.init)
    }

    /// The latest first.
    static func page(
        _ state: MatchingJob.State?, before position: MatchingJobID?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [MatchingJob] {
        let chosen: SQL = if let state { "state = \(state.rawValue)" } else { "true" }
        let bound: SQL = if let position { "AND job_id < \(position)" } else { "" }
        return try await session.query(
            """
            SELECT \(MatchingJob.columns) FROM identity.matching_job WHERE \(chosen) \(bound)
            ORDER BY job_id DESC LIMIT \(limit)
            """
        ).map(MatchingJob.init)
    }

    /// Ends a job that is not at its end: what it has merged stays, what it had still to do is dropped.
    static func cancel(
        _ id: MatchingJobID, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let count = try await transaction.execute(
            """
            UPDATE identity.matching_job
            SET state = 'cancelled', stage = NULL, ended_at = \(now), lease_until = NULL
            WHERE job_id = \(id) AND state IN ('queued', 'running')
            """)
        if count > 0 { try await clear(id, at: now, in: transaction) }
        return count > 0
    }

    // MARK: Whoever does them

    /// Takes up the oldest job that nobody is at, unless somebody is at another: one after the other, so that each knows
    /// what the one before has found.
    static func claim(
        for lease: Duration, machine: Instant, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> MatchingJob? {
        try await transaction.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('martlet.identity.matching', 0))")
        return try await transaction.query(
            """
            UPDATE identity.matching_job
            SET state = 'running', run = run + 1, lease_until = \(machine + lease),
                started_at = coalesce(started_at, \(now)::timestamptz)
            WHERE job_id = (
                    SELECT job_id FROM identity.matching_job
                    WHERE state = 'queued' OR (state = 'running' AND lease_until < \(machine))
                    ORDER BY job_id LIMIT 1)
                AND NOT EXISTS (
                    SELECT FROM identity.matching_job WHERE state = 'running' AND lease_until >= \(machine))
            RETURNING \(MatchingJob.columns)
            """
        ).first.map(MatchingJob.init)
    }

    /// Keeps a job, and tells how far it is. False when it is somebody else's by now, or cancelled.
    static func extend(
        _ job: MatchingJob, until lease: Instant, stage: MatchingJob.Stage, profiles: Int64,
        in session: some PostgresSession
    ) async throws -> Bool {
        try await session.execute(
            """
            UPDATE identity.matching_job
            SET lease_until = \(lease), stage = CASE WHEN is_planned THEN 'merging' ELSE \(stage.rawValue) END,
                profiles = greatest(profiles, \(profiles))
            WHERE job_id = \(job.id) AND run = \(job.run) AND state = 'running'
            """) == 1
    }

    /// Locks the job until the transaction ends; nil when it is somebody else's by now, or cancelled.
    static func lock(_ job: MatchingJob, in transaction: PostgresTransaction) async throws -> MatchingJob? {
        try await transaction.query(
            """
            SELECT \(MatchingJob.columns) FROM identity.matching_job
            WHERE job_id = \(job.id) AND run = \(job.run) AND state = 'running' FOR UPDATE
            """
        ).first.map(MatchingJob.init)
    }

    /// Writes what is counted of a job that is locked.
    static func update(_ job: MatchingJob, in transaction: PostgresTransaction) async throws {
        let counts = job.counts
        try await transaction.execute(
            """
            UPDATE identity.matching_job
            SET state = \(job.state.rawValue), stage = \(job.stage?.rawValue), failure = \(job.failure),
                ended_at = \(job.endedAt), is_planned = \(job.isPlanned), profiles = \(counts.profiles),
                compared_profiles = \(counts.comparedProfiles), compared_pairs = \(counts.comparedPairs),
                steps = \(counts.steps), steps_done = \(counts.stepsDone), merged = \(counts.merged),
                proposed = \(counts.proposed), rejected_before = \(counts.rejectedBefore),
                withheld = \(counts.withheld), moot = \(counts.moot),
                known_records = \(counts.knownRecords), linked = \(counts.linked)
            WHERE job_id = \(job.id)
            """)
    }

    /// Gives a job back, so that the next one need not wait for the lease to run out.
    static func release(_ job: MatchingJob, in session: some PostgresSession) async throws {
        try await session.execute(
            """
            UPDATE identity.matching_job SET lease_until = to_timestamp(0)
            WHERE job_id = \(job.id) AND run = \(job.run) AND state = 'running'
            """)
    }

    /// What nobody needs any more of a job that is at its end.
    static func clear(_ id: MatchingJobID, at now: Instant, in transaction: PostgresTransaction) async throws
    {
        try await transaction.execute(
            "DELETE FROM identity.matching_proposal WHERE job_id = \(id) AND state = 'planned'")
        try await MatchingRecordStore.settle(id, at: now, in: transaction)
    }
}
