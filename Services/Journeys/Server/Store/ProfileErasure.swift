import Models
import Postgres
import Sealing
import Streams

extension ProfileTables {
    /// Deletes everything of the profiles and of those merged into them. Returns how many rows of each table.
    func erase(_ ids: [ProfileID], at now: Instant) async throws -> [String: Int] {
        let merged = try await transaction.query(
            "SELECT profile_id FROM journeys.profile WHERE survivor_id = ANY(\(ids)::uuid[])")
        let all = Array(Set(ids + (try merged.map { try $0.get("profile_id", as: ProfileID.self) }))).sorted()
        var counts: [String: Int] = [:]
        counts["stream_intents"] = try await emptyIntents(of: all, at: now)
        try await emptyHistories(of: all, at: now)
        for table in ["deadline", "instance", "instance_history", "intent", "profile"] {
            counts[table] = try await transaction.execute(
                """
                DELETE FROM journeys.\(unsafe: table) t
                USING unnest(\(all.map { Shard($0) })::smallint[], \(all)::uuid[]) AS w (shard, profile_id)
                WHERE t.shard = w.shard AND t.profile_id = w.profile_id
                """)
        }
        return counts
    }

    /// Empties what was told of the profiles' messages. Offsets must stay gapless, so the records stay.
    ///
    /// While somebody was taken for another as well, their messages were told under the other's key, and the other's
    /// under theirs: each goes with the person whose message it is.
    private func emptyIntents(of profiles: [ProfileID], at now: Instant) async throws -> Int {
        let rows = try await transaction.query(
            """
            SELECT i.intent_id, i.stream_profile, true AS own
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, profile_id)
            JOIN journeys.intent i ON i.shard = w.shard AND i.profile_id = w.profile_id
            WHERE i.stream_profile <> ALL(\(profiles)::uuid[])
            UNION ALL
            SELECT i.intent_id, i.stream_profile, false FROM journeys.intent i
            WHERE i.stream_profile = ANY(\(profiles)::uuid[]) AND i.profile_id <> ALL(\(profiles)::uuid[])
            """)
        var (own, others): (Set<String>, Set<String>) = ([], [])
        var elsewhere: Set<ProfileID> = []
        for row in rows {
            let id = try row.get("intent_id", as: IntentID.self).description
            if try row.get("own") {
                own.insert(id)
                elsewhere.insert(try row.get("stream_profile"))
            } else {
                others.insert(id)
            }
        }
        return try await empty(profiles, at: now) { !others.contains($0) }
            + empty(elsewhere.sorted(), at: now) { own.contains($0) }
    }

    /// Takes the variables out of the intents that were told under the keys and that are meant.
    private func empty(
        _ keys: [ProfileID], at now: Instant, _ isMeant: (String) -> Bool
    ) async throws -> Int {
        guard !keys.isEmpty else { return 0 }
        var count = 0
        try await StreamHistory(.intents, sealing: vault.days).rewrite(
            keys.map { (Shard($0), $0.description) }, at: now, in: transaction
        ) { body in
            guard var members = body.object, isMeant(members["intentId"]?.string ?? "") else { return body }
            count += 1
            if members["variables"] != nil { members["variables"] = [:] }
            return .object(members)
        }
        return count
    }
}
