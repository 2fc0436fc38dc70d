import Models
import Postgres
import SegmentationDomain

/// Brings next rules into force.
struct NextRuleStore {
    /// What became of the next rules.
    enum Outcome {
        /// There is none by which everybody is decided.
        case none
        /// There are, but deadlines that are due have yet to fire.
        case putOff
        case inForce([String])
    }

    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    /// How far back next rules may come into force, so that they needn't wait for deadlines that are just firing.
    private static let reach: Duration = .seconds(10)

    /// Whether a next rule is on its way.
    func isWaiting() async throws -> Bool {
        try await !session.query(
            "SELECT FROM segment WHERE next_version IS NOT NULL AND deleted_at IS NULL LIMIT 1"
        ).isEmpty
    }

    /// Whether everybody is decided by some next rule.
    func isReady() async throws -> Bool {
        try await !session.query(
            """
            SELECT FROM segment s WHERE next_version IS NOT NULL AND deleted_at IS NULL
                AND NOT \(SegmentStore.isBehind("s.next_revision")) LIMIT 1
            """
        ).isEmpty
    }

    /// Brings the next rules into force of those `groups` in which everybody is decided by all of them. Who is in a segment
    /// by its next rule, and who is not, is so from this commit on for all who ask; it is told when the states are
    /// brought to it.
    ///
    /// It is as of the latest instant before which no deadline has yet to fire: there, the next rules say of everybody
    /// what is stored that they said. Needs the lock of the set.
    func bringIntoForce(_ groups: [Set<String>], at now: Instant) async throws -> Outcome {
        let behind = try await session.query(
            """
            SELECT id FROM segment s WHERE next_version IS NOT NULL AND deleted_at IS NULL
                AND \(SegmentStore.isBehind("s.next_revision"))
            """
        ).map { try $0.get("id", as: String.self) }
        let ids = groups.filter { $0.isDisjoint(with: behind) }.flatMap { $0 }.sorted()
        guard !ids.isEmpty else { return .none }
        let due = try await session.query("SELECT min(due_at) AS due FROM deadline").first?
            .get("due", as: Instant?.self)
        let instant = min(now, due.map { $0 - .milliseconds(1) } ?? now)
        guard instant >= now - Self.reach, try await !StateStore.hasPutOff(in: session) else {
            return .putOff
        }
        let revision = try await SegmentStore(session).raiseRevision()
        // Begun anew again and again it would only keep everybody waiting longer.
        _ = try await session.query("SET LOCAL statement_timeout = 0")
        _ = try await session.query("SET LOCAL lock_timeout = 0")
        // Not all of them have a next rule of their own: some only look at one.
        _ = try await session.query(
            """
            UPDATE segment SET version = next_version, rule = next_rule, revision = \(revision),
                live_at = \(instant), next_version = NULL, next_rule = NULL, next_revision = NULL
            WHERE id = ANY(\(ids)::text[]) AND next_version IS NOT NULL
            """)
        try await DifferenceStore.carryOut(ids, at: instant, revision: revision, in: session)
        return .inForce(ids)
    }
}
