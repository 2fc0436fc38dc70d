import ConsentDomain
import Models
import Postgres
import Sealing

/// Something that has happened to a request.
struct PrivacyStep: Sendable {
    let at: Instant
    let event: String
    let caller: String
    /// What was noted.
    let detail: String?
}

/// The SQL of a request's history, its deadline, and the secret that shows who asks.
enum PrivacyStepStore {
    /// The kind of the deadlines of reminders.
    static let reminder = "privacy-reminder"
    /// The kind of the deadlines of corrections that identity has yet to hear of.
    static let rectification = "privacy-rectification"

    /// One more step of each request, in their order. Details are sealed before.
    static func append(
        _ steps: [(id: PrivacyRequestID, event: PrivacyEvent, detail: String?)], by caller: String,
        at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !steps.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO privacy_step (shard, request_id, step, at, event, by_caller, detail)
            SELECT s.shard, s.id,
                (SELECT coalesce(max(o.step), 0) FROM privacy_step o WHERE o.shard = s.shard AND o.request_id = s.id)
                    + row_number() OVER (PARTITION BY s.id ORDER BY s.number), \(now)::timestamptz, s.event,
                \(caller), s.detail
            FROM unnest(\(steps.map { PrivacyRequestStore.shard($0.id) })::smallint[], \(steps.map(\.id))::uuid[],
                \(steps.map(\.event.rawValue))::text[], \(steps.map(\.detail))::text[])
                WITH ORDINALITY AS s(shard, id, event, detail, number)
            """)
    }

    /// Where a note on a request is sealed.
    static func place(of id: PrivacyRequestID) -> String { "consent.privacy_step.detail \(id)" }

    static func steps(
        of id: PrivacyRequestID, vault: Vault, in session: some PostgresSession
    ) async throws -> [PrivacyStep] {
        let rows = try await session.query(
            """
            SELECT at, event, by_caller, detail FROM privacy_step
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) ORDER BY step
            """)
        var steps: [PrivacyStep] = []
        for row in rows {
            var detail: String?
            if let sealed = try row.get("detail", as: String?.self) {
                detail = try await vault.days.open(sealed, at: place(of: id))
            }
            steps.append(
                PrivacyStep(
                    at: try row.get("at"), event: try row.get("event"), caller: try row.get("by_caller"),
                    detail: detail))
        }
        return steps
    }

    // MARK: Deadlines

    /// Sets, moves or takes away the deadline of each subject; those that are due at `due`, and have not been fired, stay.
    static func set(
        _ deadlines: [(id: PrivacyRequestID, dueAt: Instant?)], of kind: String,
        keepingDue due: Instant? = nil,
        in transaction: PostgresTransaction
    ) async throws {
        let kept = due ?? .distantPast
        let gone = deadlines.filter { $0.dueAt == nil }.map(\.id)
        if !gone.isEmpty {
            try await transaction.execute(
                """
                DELETE FROM deadline d USING unnest(\(gone.map { PrivacyRequestStore.shard($0) })::smallint[],
                    \(gone)::uuid[]) AS g(shard, id)
                WHERE d.shard = g.shard AND d.kind = \(kind) AND d.subject_id = g.id AND d.due_at > \(kept)
                """)
        }
        let set = deadlines.compactMap { deadline in deadline.dueAt.map { (id: deadline.id, at: $0) } }
        guard !set.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO deadline AS d (shard, kind, subject_id, due_at)
            SELECT shard, \(kind), id, at FROM unnest(\(set.map { PrivacyRequestStore.shard($0.id) })::smallint[],
                \(set.map(\.id))::uuid[], \(set.map(\.at))::timestamptz[]) AS w(shard, id, at)
            ON CONFLICT (shard, kind, subject_id) DO UPDATE SET due_at = excluded.due_at
                WHERE d.due_at > \(kept)
            """)
    }

    /// What is due, the earliest first.
    static func due(
        _ kind: String, upTo now: Instant, limit: Int, in session: some PostgresSession
    ) async throws -> [(id: PrivacyRequestID, dueAt: Instant)] {
        try await session.query(
            """
            SELECT subject_id, due_at FROM deadline WHERE kind = \(kind) AND due_at <= \(now)
            ORDER BY due_at, subject_id LIMIT \(Int64(limit))
            """
        ).map { (try $0.get("subject_id"), try $0.get("due_at")) }
    }
}
