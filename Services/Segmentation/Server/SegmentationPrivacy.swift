import Models
import Postgres
import ProfileStore
import Sealing
import SegmentationDomain
import ServiceKit
import Streams

/// What segmentation does about requests for access and erasure.
struct SegmentationPrivacy {
    let registry: SegmentRegistry
    let clock: ServiceClock

    var handler: PrivacyHandler {
        PrivacyHandler(
            access: { request, transaction in try await access(request, in: transaction) },
            erase: { request, transaction in try await erase(request, in: transaction) })
    }

    /// The memberships, scores and stage now, and every entry and exit with its evidence.
    private func access(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        let ids = request.profileIDs
        let shards = ids.map { Shard($0) }
        let memberships = try await transaction.query(
            """
            SELECT m.profile_id, m.segment, m.version, m.entered_at, m.evidence
            FROM unnest(\(shards)::smallint[], \(ids)::uuid[]) AS w (shard, id)
            JOIN profiles.membership m ON m.shard = w.shard AND m.profile_id = w.id
            ORDER BY m.segment, m.profile_id
            """)
        let changes = try await StreamHistory(.memberships, sealing: registry.vault.days).bodies(
            of: ids.map { (Shard($0), $0.description) }, in: transaction)
        var held: [JSON] = []
        for row in memberships {
            let id: ProfileID = try row.get("profile_id")
            let segment: String = try row.get("segment")
            let evidence = try await registry.vault.days.open(
                try row.get("evidence", as: JSON.self), at: StoredMembership.place(of: id, segment: segment))
            held.append([
                "profileId": .string(id.description), "segment": .string(segment),
                "version": .integer(try row.get("version")),
                "enteredAt": .string(try row.get("entered_at", as: Instant.self).rfc3339),
                "evidence": evidence,
            ])
        }
        let snapshots = try await transaction.query(
            """
            SELECT s.id, s.segment, s.made_at, m.profile_id, m.entered_at
            FROM unnest(\(shards)::smallint[], \(ids)::uuid[]) AS w (shard, id)
            JOIN snapshot_member m ON m.shard = w.shard AND m.profile_id = w.id
            JOIN snapshot s ON s.id = m.snapshot_id
            ORDER BY s.made_at, s.id
            """
        ).map { row -> JSON in
            [
                "profileId": .string(try row.get("profile_id", as: ProfileID.self).description),
                "snapshot": .string(try row.get("id", as: SnapshotID.self).description),
                "segment": .string(try row.get("segment")),
                "madeAt": .string(try row.get("made_at", as: Instant.self).rfc3339),
                "enteredAt": .string(try row.get("entered_at", as: Instant.self).rfc3339),
            ]
        }
        // Before the rules are taken hold of: whoever changes them must not wait for a long history.
        let traits = try await ComputedTraitReading(transaction, vault: registry.vault)
            .traits(of: request.profileID, at: try await clock.now())
        return [
            "memberships": .array(held), "changes": .array(changes), "snapshots": .array(snapshots),
            "keptEvidence": .array(
                try await KeptEvidence.all(of: ids, vault: registry.vault, in: transaction)),
            "scores": .array(try await scores(of: ids, in: transaction)),
            "computedTraits": .array(traits),
            "stages": .array(try await stages(of: ids, in: transaction)),
        ]
    }

    private func stages(of ids: [ProfileID], in transaction: PostgresTransaction) async throws -> [JSON] {
        let rows = try await transaction.query(
            """
            SELECT s.profile_id, s.stage, s.version, s.entered_at, s.evidence
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, id)
            JOIN profiles.stage s ON s.shard = w.shard AND s.profile_id = w.id
            ORDER BY s.profile_id
            """)
        var stages: [JSON] = []
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            stages.append([
                "profileId": .string(id.description), "stage": .string(try row.get("stage")),
                "version": .integer(try row.get("version")),
                "enteredAt": .string(try row.get("entered_at", as: Instant.self).rfc3339),
                "evidence": try await registry.vault.days.open(
                    try row.get("evidence", as: JSON.self), at: StoredStage.place(of: id)),
            ])
        }
        return stages
    }

    /// What the scores come to now, with the events that they rest on.
    private func scores(of ids: [ProfileID], in transaction: PostgresTransaction) async throws -> [JSON] {
        let set = try await registry.decider(in: transaction).set
        let now = try await clock.now()
        var scores: [JSON] = []
        for id in ids {
            guard
                case .state(let state)? = try await StateStore.read(
                    id, registry, in: transaction)
            else { continue }
            let instant = max(now, state.decidedAt)
            for value in ScoreReading.values(of: state, in: set, at: instant) {
                var members = value.json(at: instant)
                members["profileId"] = .string(id.description)
                members["at"] = .string(instant.rfc3339)
                members["events"] = .array(value.scoring.shown(value.memory, at: instant).map(\.json))
                scores.append(.object(members))
            }
        }
        return scores
    }

    /// Exits with reason erasure, and then nothing of the person is left but bare changes.
    private func erase(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        let ids = Set(request.profileIDs + [request.profileID])
        let decider = try await registry.decider(in: transaction)
        let states = try await StateStore(transaction: transaction, registry: registry)
            .lockExisting(ids)
        let counts = try await Erasure.counts(Array(ids), in: transaction)
        var work = MembershipWork(
            decider: decider, states: states, now: try await clock.now(), vault: registry.vault,
            in: transaction)
        for id in ids.sorted() { work.erase(id, at: request.requestedAt) }
        try await work.write()
        return counts
    }
}

/// What erasing a profile does to the tables.
enum Erasure {
    /// What stands in the place of evidence that was erased.
    static let evidence: JSON = ["erased": true]

    /// Statements that delete everything but the changes on the stream, whose offsets have no gaps.
    static func statements(_ ids: [ProfileID]) -> [SQL] {
        let ids = ids.sorted()
        return [
            StateStore.delete(ids, from: "profile_state"), StateStore.delete(ids, from: "deadline"),
            StateStore.delete(ids, from: "profiles.membership"),
            StateStore.delete(ids, from: "snapshot_member"), StateStore.delete(ids, from: "profiles.stage"),
            StateStore.delete(ids, from: "membership_difference"),
            StateStore.delete(ids, from: "stage_difference"),
            StateStore.delete(ids, from: "consent_recheck"),
            StateStore.delete(ids, from: "left_behind"),
            StateStore.delete(ids, from: "kept_evidence"),
        ] + accounts(of: ids)
    }

    /// Statements that take people out of their accounts, and delete those that nobody else belongs to: of these all that is
    /// known is theirs.
    private static func accounts(of ids: [ProfileID]) -> [SQL] {
        [
            // Whoever is about to join one goes first.
            """
            SELECT FROM account a
            WHERE (a.shard, a.group_id) IN (
                SELECT m.shard, m.group_id FROM account_member m WHERE m.profile_id = ANY(\(ids)::uuid[]))
            ORDER BY a.shard, a.group_id FOR UPDATE OF a
            """,
            """
            WITH gone AS (
                DELETE FROM account_member WHERE profile_id = ANY(\(ids)::uuid[]) RETURNING shard, group_id
            ), empty AS (
                SELECT DISTINCT g.shard, g.group_id FROM gone g
                WHERE NOT EXISTS (
                    SELECT FROM account_member m
                    WHERE m.shard = g.shard AND m.group_id = g.group_id
                        AND m.profile_id <> ALL(\(ids)::uuid[]))
            ), traits AS (
                DELETE FROM account_trait t USING empty e WHERE t.shard = e.shard AND t.group_id = e.group_id
            ), changes AS (
                DELETE FROM account_change c USING empty e WHERE c.shard = e.shard AND c.group_id = e.group_id
            )
            DELETE FROM account a USING empty e WHERE a.shard = e.shard AND a.group_id = e.group_id
            """,
        ]
    }

    /// Leaves of the changes on the stream what has no evidence.
    static func bareChanges(
        of ids: [ProfileID], at now: Instant, vault: Vault, in transaction: PostgresTransaction
    ) async throws {
        try await StreamHistory(.memberships, sealing: vault.days).rewrite(
            ids.map { (Shard($0), $0.description) }, at: now, in: transaction
        ) { body in
            guard var members = body.object else { return body }
            if members["changes"] != nil {
                members["changes"] = []
            } else {
                members["evidence"] = evidence
            }
            return .object(members)
        }
    }

    /// How much there is to erase.
    static func counts(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> JSON {
        let shards = ids.map { Shard($0) }
        func count(_ table: String, _ column: String) -> SQL {
            """
            SELECT count(*) AS n
            FROM unnest(\(shards)::smallint[], \(ids.map(\.description))::text[]) AS w (shard, id)
            JOIN \(unsafe: table) t ON t.shard = w.shard AND t.\(unsafe: column)::text = w.id
            """
        }
        let replies = try await transaction.pipeline([
            count("profile_state", "profile_id"), count("profiles.membership", "profile_id"),
            count("stream_memberships", "key"), count("snapshot_member", "profile_id"),
            count("profiles.stage", "profile_id"), count("kept_evidence", "profile_id"),
        ])
        let numbers = try replies.map { try $0.first?.get("n", as: Int64.self) ?? 0 }
        return [
            "states": .integer(numbers[0]), "memberships": .integer(numbers[1]),
            "changes": .integer(numbers[2]), "snapshots": .integer(numbers[3]),
            "stages": .integer(numbers[4]), "keptEvidence": .integer(numbers[5]),
        ]
    }
}
