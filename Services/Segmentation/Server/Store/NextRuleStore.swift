import Models
import Postgres
import SegmentationDomain

/// Brings next rules into force: of segments, scores and the stages.
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

    /// What has a next rule, by what it is called among the segments; the stages all as one.
    private static let waiting: SQL = """
        SELECT id AS key, next_revision FROM segment WHERE next_version IS NOT NULL AND deleted_at IS NULL
        UNION ALL
        SELECT \(SegmentDefinition.key(ofScore: "")) || id, next_revision FROM score
        WHERE next_version IS NOT NULL AND deleted_at IS NULL
        UNION ALL
        SELECT \(SegmentDefinition.key(ofStage: "")), next_revision FROM stage_list WHERE next_version IS NOT NULL
        """

    /// Whether a next rule is on its way.
    func isWaiting() async throws -> Bool {
        try await !session.query("SELECT FROM (\(Self.waiting)) AS w LIMIT 1").isEmpty
    }

    /// Whether everybody is decided by some next rule.
    func isReady() async throws -> Bool {
        try await !session.query(
            """
            SELECT FROM (\(Self.waiting)) AS w WHERE NOT \(SegmentStore.isBehind("w.next_revision")) LIMIT 1
            """
        ).isEmpty
    }

    /// How far deadlines keep next rules from coming into force, which is asked without the lock of the set: it stops
    /// everybody.
    func hindrance(at now: Instant) async throws -> Hindrance? {
        if try await StateStore.hasPutOff(in: session) { return .putOff }
        let due = try await earliestDeadline()
        return due.map { $0 - .milliseconds(1) < now - Self.reach } ?? false ? .due : nil
    }

    /// The earliest, without those that could not be fired.
    private func earliestDeadline() async throws -> Instant? {
        try await session.query("SELECT min(due_at) AS due FROM deadline WHERE attempts = 0").first?
            .get("due", as: Instant?.self)
    }

    /// What next rules wait for.
    enum Hindrance: String {
        /// Deadlines that could not be fired: not often enough yet to go on without, or too many.
        case putOff
        /// Deadlines that have yet to fire.
        case due
    }

    /// Lets the next rules of these wait until everybody is decided by a revision, in which what they look at is another.
    func waitAnew(_ keys: Set<String>, for revision: Int64) async throws {
        let keys = keys.sorted()
        guard !keys.isEmpty else { return }
        _ = try await session.query(
            """
            UPDATE segment SET next_revision = \(revision)
            WHERE id = ANY(\(keys)::text[]) AND next_version IS NOT NULL
            """)
        _ = try await session.query(
            """
            UPDATE score SET next_revision = \(revision)
            WHERE id = ANY(\(keys.compactMap(SegmentDefinition.score))::text[]) AND next_version IS NOT NULL
            """)
        guard keys.contains(where: SegmentDefinition.isOfStages) else { return }
        _ = try await session.query(
            "UPDATE stage_list SET next_revision = \(revision) WHERE next_version IS NOT NULL")
    }

    /// Brings the next rules into force of those `groups` in which everybody is decided by all of them. Who is in a segment
    /// by its next rule, and who is not, is so from this commit on for all who ask, and so is the stage that somebody is
    /// in; it is told when the states are brought to it.
    ///
    /// It is as of the latest instant before which no deadline has yet to fire: there, the next rules say of everybody
    /// what is stored that they said. Needs the lock of the set.
    func bringIntoForce(_ groups: [Set<String>], at now: Instant) async throws -> Outcome {
        let behind = try await session.query(
            "SELECT key FROM (\(Self.waiting)) AS w WHERE \(SegmentStore.isBehind("w.next_revision"))"
        ).map { try $0.get("key", as: String.self) }
        let areStagesBehind = behind.contains(SegmentDefinition.key(ofStage: ""))
        let keys = groups.filter { group in
            group.isDisjoint(with: behind)
                && !(areStagesBehind && group.contains(where: SegmentDefinition.isOfStages))
        }.flatMap { $0 }.sorted()
        guard !keys.isEmpty else { return .none }
        let due = try await earliestDeadline()
        let instant = min(now, due.map { $0 - .milliseconds(1) } ?? now)
        guard instant >= now - Self.reach, try await !StateStore.hasPutOff(in: session) else {
            return .putOff
        }
        let revision = try await SegmentStore(session).raiseRevision()
        // Begun anew again and again it would only keep everybody waiting longer.
        _ = try await session.query("SET LOCAL statement_timeout = 0")
        _ = try await session.query("SET LOCAL lock_timeout = 0")
        let segments = keys.filter(SegmentDefinition.isValid)
        // Not all of them have a next rule of their own: some only look at one.
        _ = try await session.query(
            """
            UPDATE segment SET version = next_version, rule = next_rule, revision = \(revision),
                live_at = \(instant), next_version = NULL, next_rule = NULL, next_revision = NULL
            WHERE id = ANY(\(segments)::text[]) AND next_version IS NOT NULL
            """)
        _ = try await session.query(
            """
            UPDATE score SET version = next_version, scoring = next_scoring, revision = \(revision),
                live_at = \(instant), next_version = NULL, next_scoring = NULL, next_revision = NULL
            WHERE id = ANY(\(keys.compactMap(SegmentDefinition.score))::text[]) AND next_version IS NOT NULL
            """)
        try await DifferenceStore.carryOut(segments, at: instant, revision: revision, in: session)
        if keys.contains(where: SegmentDefinition.isOfStages) {
            _ = try await session.query(
                """
                UPDATE stage_list SET version = next_version, stages = next_stages, revision = \(revision),
                    live_at = \(instant), next_version = NULL, next_stages = NULL, next_revision = NULL
                WHERE next_version IS NOT NULL
                """)
            try await DifferenceStore.carryOutStages(at: instant, revision: revision, in: session)
        }
        return .inForce(Set(keys.map(SegmentDefinition.words)).sorted())
    }
}
