import JourneysDomain
import Models
import Postgres
import Sealing

/// What is known of undone merges until all that follows from them is settled.
extension ProfileTables {
    /// An undone merge whose consequences have not all been told.
    struct Unsettled {
        var profileID: ProfileID
        var split: ProfileID
        var holder: ProfileID
        var at: Instant
        /// What segmentation has told of the two.
        var told: [MembershipHistory]
    }

    /// Keeps everybody else from settling the same one until the transaction ends.
    func lock(unmerging id: MergeID) async throws {
        try await transaction.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(\("unmerging \(id)"), 0))")
    }

    /// Notes that the journeys were taken apart.
    func begin(_ order: Unmerging.Order, holder: ProfileID) async throws {
        try await transaction.execute(
            """
            INSERT INTO journeys.unmerging (shard, merge_id, profile_id, split_id, holder_id, at)
            VALUES (\(Self.shard(of: order.mergeID)), \(order.mergeID), \(order.profileID), \(order.split), \(holder),
                    \(order.at))
            ON CONFLICT DO NOTHING
            """)
    }

    /// Keeps what segmentation has told of one of the two, unless nobody asks for it any more.
    func keep(_ history: MembershipHistory, at now: Instant) async throws {
        let text = try await vault.days.key(at: now).seal(
            history.json.compact, at: Self.place(of: history.mergeID, row: history.profileID))
        try await transaction.execute(
            """
            INSERT INTO journeys.unmerging_history (shard, merge_id, profile_id, history)
            SELECT \(Self.shard(of: history.mergeID)), \(history.mergeID), \(history.profileID), \(text)
            WHERE NOT EXISTS (
                SELECT FROM journeys.unmerging u
                WHERE u.shard = \(Self.shard(of: history.mergeID)) AND u.merge_id = \(history.mergeID)
                    AND u.settled_at IS NOT NULL)
            ON CONFLICT (shard, merge_id, profile_id) DO UPDATE SET history = excluded.history
            """)
    }

    /// Adds to what was told of profiles what they have done since, until it is made use of: going through their journeys
    /// then knows everything that this service has read. To be called before anybody is locked.
    func extend(with changes: [MembershipChange], at now: Instant) async throws {
        let ids = Set(changes.map(\.profileID)).sorted()
        let merges = try await transaction.query(
            """
            SELECT DISTINCT merge_id FROM journeys.unmerging_history WHERE profile_id = ANY(\(ids)::uuid[])
            ORDER BY merge_id
            """
        ).map { try $0.get("merge_id", as: MergeID.self) }
        guard !merges.isEmpty else { return }
        for id in merges { try await lock(unmerging: id) }
        // Those that were settled in the meantime are no more.
        let rows = try await transaction.query(
            """
            SELECT merge_id, profile_id, history FROM journeys.unmerging_history
            WHERE merge_id = ANY(\(merges)::uuid[]) AND profile_id = ANY(\(ids)::uuid[])
            """)
        for row in rows {
            guard var history = try await history(row, of: try row.get("merge_id")) else { continue }
            for change in changes where change.profileID == history.profileID {
                history.extend(with: change)
            }
            try await keep(history, at: now)
        }
    }

    /// What was told; nil where it doesn't open any more.
    private func history(_ row: PostgresRow, of id: MergeID) async throws -> MembershipHistory? {
        let place = Self.place(of: id, row: try row.get("profile_id"))
        let text = try await vault.days.open(try row.get("history", as: String.self), at: place)
        return try text.map { try MembershipHistory(json: JSONParser.parse(Array($0.utf8)[...])) }
    }

    /// An undone merge that isn't settled, with what segmentation has told; nil while the journeys were not taken apart.
    func unsettled(_ id: MergeID) async throws -> Unsettled? {
        let shard = Self.shard(of: id)
        let row = try await transaction.query(
            """
            SELECT profile_id, split_id, holder_id, at FROM journeys.unmerging
            WHERE shard = \(shard) AND merge_id = \(id) AND settled_at IS NULL
            """
        ).first
        guard let row else { return nil }
        let (one, other): (ProfileID, ProfileID) = (try row.get("profile_id"), try row.get("split_id"))
        var told: [MembershipHistory] = []
        let rows = try await transaction.query(
            """
            SELECT profile_id, history FROM journeys.unmerging_history
            WHERE shard = \(shard) AND merge_id = \(id) AND profile_id IN (\(one), \(other))
            """)
        for row in rows {
            // Where it doesn't open any more, nothing is said.
            told.append(
                try await history(row, of: id)
                    ?? MembershipHistory(
                        profileID: try row.get("profile_id"), mergeID: id, since: .distantPast))
        }
        return Unsettled(
            profileID: one, split: other, holder: try row.get("holder_id"), at: try row.get("at"), told: told)
    }

    /// Notes that nothing more is to be said of it.
    func settle(_ id: MergeID, at now: Instant) async throws {
        let shard = Self.shard(of: id)
        try await transaction.pipeline([
            """
            UPDATE journeys.unmerging SET settled_at = \(now) WHERE shard = \(shard) AND merge_id = \(id)
            """,
            "DELETE FROM journeys.unmerging_history WHERE shard = \(shard) AND merge_id = \(id)",
        ])
    }

    /// Leaves of what segmentation has told of the profiles that it has.
    func emptyHistories(of profiles: [ProfileID], at now: Instant) async throws {
        let rows = try await transaction.query(
            """
            SELECT merge_id, profile_id FROM journeys.unmerging_history
            WHERE profile_id = ANY(\(profiles)::uuid[])
            """)
        for row in rows {
            try await keep(
                MembershipHistory(
                    profileID: try row.get("profile_id"), mergeID: try row.get("merge_id"),
                    since: .distantPast), at: now)
        }
    }

    /// When the journeys that are active were last changed or set going.
    func activeSince() async throws -> [String: Instant] {
        let rows = try await transaction.query(
            "SELECT journey_id, updated_at FROM journeys.journey WHERE status = 'active' AND deleted_at IS NULL"
        )
        return Dictionary(
            try rows.map { (try $0.get("journey_id"), try $0.get("updated_at")) }, uniquingKeysWith: { $1 })
    }

    private static func shard(of id: MergeID) -> Shard { Shard(hashing: id.description) }

    private static func place(of merge: MergeID, row profile: ProfileID) -> String {
        "journeys.unmerging_history \(merge) \(profile)"
    }
}

extension MembershipHistory {
    /// A limit on what is kept of somebody whose other half is never told of.
    private static var mostChanges: Int { 10_000 }

    /// Takes a change in that was made behind what was told.
    fileprivate mutating func extend(with change: MembershipChange) {
        guard versions[change.segment] == change.version else { return }
        if changes.count < Self.mostChanges {
            changes.append(change)
        } else {
            versions[change.segment] = nil
        }
    }
}
