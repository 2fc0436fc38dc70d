import ConsentDomain
import Foundation
import Models
import Postgres
import ProfileStore

/// Where a pass over everybody stands that looks for those whom nothing permits to hold.
struct NoBasisPass: Sendable {
    enum Phase: String, Sendable {
        /// Everybody is gone through once, to see how many it would be.
        case counting
        /// Requests are filed.
        case filing
        /// It would be too many: nothing is filed.
        case held
        case done
    }

    let policyVersion: Int64
    let consentVersion: Int64
    let boundary: Instant
    var phase: Phase
    /// Behind whom it goes on; nil where all shards are done.
    var place: NoBasisPlace
    var people: Int64 = 0
    var withoutBasis: Int64 = 0
    var filed: Int64 = 0
    let startedAt: Instant
    var endedAt: Instant?
}

/// A place among all profiles: shard by shard, and within one in the order of ids.
struct NoBasisPlace: Sendable, Hashable {
    var shard: Shard
    var after: ProfileID

    static let nobody = ProfileID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
    static let start = NoBasisPlace(shard: Shard.all[0], after: nobody)

    /// The beginning of the next shard; nil after the last.
    var next: NoBasisPlace? {
        Shard(number: shard.number + 1).map { NoBasisPlace(shard: $0, after: Self.nobody) }
    }
}

/// The SQL of looking for people without a basis.
enum NoBasisStore {
    // MARK: The pass

    static func pass(in session: some PostgresSession) async throws -> NoBasisPass? {
        try await session.query(
            """
            SELECT policy_version, consent_version, boundary, phase, shard, after_id, people, without_basis, filed,
                started_at, ended_at
            FROM basis_pass
            """
        ).first.map { row in
            guard let phase = NoBasisPass.Phase(rawValue: try row.get("phase")) else {
                throw PostgresError.decoding(column: "phase", message: "is not one of a pass")
            }
            return NoBasisPass(
                policyVersion: try row.get("policy_version"), consentVersion: try row.get("consent_version"),
                boundary: try row.get("boundary"), phase: phase,
                place: NoBasisPlace(shard: try row.get("shard"), after: try row.get("after_id")),
                people: try row.get("people"), withoutBasis: try row.get("without_basis"),
                filed: try row.get("filed"), startedAt: try row.get("started_at"),
                endedAt: try row.get("ended_at", as: Instant?.self))
        }
    }

    static func keep(_ pass: NoBasisPass, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            INSERT INTO basis_pass (policy_version, consent_version, boundary, phase, shard, after_id, people,
                without_basis, filed, started_at, ended_at)
            VALUES (\(pass.policyVersion), \(pass.consentVersion), \(pass.boundary), \(pass.phase.rawValue),
                \(pass.place.shard), \(pass.place.after), \(pass.people), \(pass.withoutBasis), \(pass.filed),
                \(pass.startedAt), \(pass.endedAt))
            ON CONFLICT (only_one) DO UPDATE SET policy_version = excluded.policy_version,
                consent_version = excluded.consent_version, boundary = excluded.boundary, phase = excluded.phase,
                shard = excluded.shard, after_id = excluded.after_id, people = excluded.people,
                without_basis = excluded.without_basis, filed = excluded.filed, started_at = excluded.started_at,
                ended_at = excluded.ended_at
            """)
    }

    // MARK: People

    /// People of a shard, in the order of their canonical profiles: those who were not erased.
    static func people(
        after place: NoBasisPlace, limit: Int, in session: some PostgresSession
    ) async throws -> [NoBasisPerson] {
        try await session.query(
            """
            SELECT c.profile_id, array_agg(m.profile_id ORDER BY m.profile_id) AS members, max(m.created_at) AS known_since
            FROM (
                SELECT profile_id FROM profiles.profile
                WHERE shard = \(place.shard) AND profile_id > \(place.after) AND canonical_id = profile_id
                    AND erased_at IS NULL
                ORDER BY profile_id LIMIT \(Int64(limit))
            ) c JOIN profiles.profile m ON m.canonical_id = c.profile_id
            GROUP BY c.profile_id ORDER BY c.profile_id
            """
        ).map(person)
    }

    /// The people that profiles belong to now, but for those who were erased.
    static func people(
        of profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> [NoBasisPerson] {
        try await session.query(
            """
            SELECT c.profile_id, array_agg(m.profile_id ORDER BY m.profile_id) AS members, max(m.created_at) AS known_since
            FROM (
                SELECT DISTINCT p.canonical_id AS profile_id
                FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
                JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id
            ) c JOIN profiles.profile m ON m.canonical_id = c.profile_id
            GROUP BY c.profile_id
            HAVING bool_and(m.profile_id <> c.profile_id OR m.erased_at IS NULL)
            ORDER BY c.profile_id
            """
        ).map(person)
    }

    private static func person(_ row: PostgresRow) throws -> NoBasisPerson {
        NoBasisPerson(
            profileID: try row.get("profile_id"), memberIDs: try row.get("members"),
            knownSince: try row.get("known_since"))
    }

    /// Those of the profiles that are kept whatever the policy says: of whom a request is open, or who are restricted.
    static func kept(
        _ profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<ProfileID> {
        guard !profiles.isEmpty else { return [] }
        let rows = try await session.query(
            """
            SELECT p.id FROM privacy_request q JOIN unnest(\(profiles)::uuid[]) AS p(id) ON p.id = ANY(q.profile_ids)
            WHERE q.profile_ids && \(profiles)::uuid[] AND q.state IN ('received', 'verifying', 'inProgress')
            UNION
            SELECT r.profile_id FROM profiles.restriction r
            JOIN unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w(shard, profile_id)
                USING (shard, profile_id)
            """)
        return Set(try rows.map { try $0.get("id") })
    }

    /// When each of the profiles last did one of these, of those who have since an instant.
    static func last(
        _ events: [String], of profiles: [ProfileID], since: Instant, in session: some PostgresSession
    ) async throws -> [ProfileID: Instant] {
        guard !profiles.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT profile_id, max(occurred_at) AS at FROM profiles.timeline
            WHERE profile_id = ANY(\(profiles)::uuid[]) AND occurred_at >= \(since) AND type = 'track'
                AND name = ANY(\(events)::text[])
            GROUP BY profile_id
            """)
        return Dictionary(
            try rows.map { (try $0.get("profile_id"), try $0.get("at")) }, uniquingKeysWith: { max($0, $1) })
    }

    // MARK: The policy

    /// Since when the consent policy has had the grounds that it has: the first of the versions up to the last that all have them.
    static func groundsSince(
        _ current: PolicyReader.Current, in session: some PostgresSession
    ) async throws -> Instant {
        var since = Instant.distantFuture
        var before: Int64?
        while let stored = try await ConsentPolicyStore.page(before: before, limit: 1, in: session).first {
            let policy = try ConsentPolicy(json: try JSONParser.parse(stored.body))
            guard stored.version > current.version || policy.hasGrounds(of: current.policy) else { break }
            if stored.version <= current.version { since = stored.createdAt }
            before = stored.version
        }
        return since
    }
}

/// Somebody, as far as it takes to see whether they may be held.
struct NoBasisPerson: Sendable {
    let profileID: ProfileID
    let memberIDs: [ProfileID]
    let knownSince: Instant

    var person: Person {
        Person(
            profileID: profileID, memberIDs: memberIDs, createdAt: knownSince, updatedAt: knownSince,
            erasedAt: nil)
    }
}
