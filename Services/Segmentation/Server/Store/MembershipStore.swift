import Models
import Postgres
import ProfileStore
import Sealing

/// Who is in which segment now: `profiles.membership`.
enum MembershipStore {
    /// Statements that carry changes over to the memberships; of several changes of one membership the last counts.
    static func writes(_ changes: [MembershipChange], under key: DayKey) throws -> [SQL] {
        struct Place: Hashable {
            let profile: ProfileID
            let segment: String
        }
        var last: [Place: MembershipChange] = [:]
        for change in changes { last[Place(profile: change.profileID, segment: change.segment)] = change }
        // In one order for everybody.
        let ordered = last.map { (shard: Shard($0.key.profile), place: $0.key, change: $0.value) }
            .sorted {
                ($0.shard, $0.place.profile, $0.place.segment) < (
                    $1.shard, $1.place.profile, $1.place.segment
                )
            }
        let entered = ordered.filter { $0.change.change == .entered }.map(\.change)
        let exited = ordered.filter { $0.change.change == .exited }.map(\.change)
        var statements: [SQL] = []
        if !entered.isEmpty {
            let evidence = try entered.map { change in
                try key.seal(
                    change.evidence,
                    at: StoredMembership.place(of: change.profileID, segment: change.segment)
                ).compact
            }
            statements.append(
                """
                INSERT INTO profiles.membership (shard, profile_id, segment, version, entered_at, evidence)
                SELECT w.shard, w.id, w.segment, w.version, w.at, w.evidence::jsonb
                FROM unnest(\(binary: entered.map { Shard($0.profileID) }), \(binary: entered.map(\.profileID)),
                            \(binary: entered.map(\.segment)), \(binary: entered.map { Int64($0.version) }),
                            \(binary: entered.map(\.at)), \(binary: evidence))
                     AS w (shard, id, segment, version, at, evidence)
                ON CONFLICT (shard, profile_id, segment) DO UPDATE
                SET version = excluded.version, entered_at = excluded.entered_at, evidence = excluded.evidence
                """)
        }
        if !exited.isEmpty {
            statements.append(
                """
                DELETE FROM profiles.membership m
                USING unnest(\(binary: exited.map { Shard($0.profileID) }), \(binary: exited.map(\.profileID)),
                             \(binary: exited.map(\.segment))) AS w (shard, id, segment)
                WHERE m.shard = w.shard AND m.profile_id = w.id AND m.segment = w.segment
                """)
        }
        return statements
    }

    /// A member in a list.
    struct Member {
        var profileID: ProfileID
        var version: Int
        var enteredAt: Instant
    }

    /// Whether the profile of a row `m` may be shown: who is kept and must not be used (GDPR article 18) is in no list of
    /// people that others act by, also under the name that they had before a merge, while their memberships are decided on, so that all is as it should be when it is lifted.
    static let isShown: SQL = """
        NOT EXISTS (
            SELECT FROM profiles.restriction r JOIN profiles.profile o USING (shard, profile_id)
            WHERE o.canonical_id = m.profile_id OR o.canonical_id = (
                SELECT c.canonical_id FROM profiles.profile c WHERE c.shard = m.shard AND c.profile_id = m.profile_id))
        """

    /// The first of the profiles who may be shown, in their order.
    static func shown(
        of profiles: [ProfileID], limit: Int, in session: some PostgresSession
    ) async throws -> [ProfileID] {
        guard !profiles.isEmpty else { return [] }
        return try await session.query(
            """
            SELECT m.profile_id
            FROM unnest(\(binary: profiles.map { Shard($0) }), \(binary: profiles))
                WITH ORDINALITY AS m (shard, profile_id, number)
            WHERE \(isShown) ORDER BY m.number LIMIT \(limit)
            """
        ).map { try $0.get("profile_id") }
    }

    /// Members of a segment in a stable order, after the one that the last page ended with; without whoever is restricted.
    static func members(
        of segment: String, after position: ProfileID?, limit: Int, in session: some PostgresSession
    ) async throws -> [Member] {
        let bound: SQL =
            if let position {
                "AND (shard, profile_id) > (\(Shard(position))::smallint, \(position)::uuid)"
            } else {
                ""
            }
        let rows = try await session.query(
            """
            SELECT profile_id, version, entered_at FROM profiles.membership m
            WHERE segment = \(segment) \(bound) AND \(isShown)
            ORDER BY shard, profile_id LIMIT \(limit)
            """)
        return try rows.map {
            Member(
                profileID: try $0.get("profile_id"), version: try $0.get("version"),
                enteredAt: try $0.get("entered_at"))
        }
    }
}
