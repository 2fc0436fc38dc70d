import JourneysDomain
import Models
import Postgres

/// What was asked of delivery, so that nothing is asked for twice, and what was said of it afterwards.
extension ProfileTables {
    /// An intent with the profile under which the stream tells of it.
    struct Told {
        var intent: ToldIntent
        var streamProfile: ProfileID
    }

    /// Takes the keys of intents. One that is taken already fails the transaction: it would be sent twice.
    func write(intents: [SendIntent]) async throws {
        guard !intents.isEmpty else { return }
        let visits = intents.map { Int($0.variables["journey"]?["visit"]?.integer ?? 1) }
        try await transaction.execute(
            """
            INSERT INTO journeys.intent (shard, intent_id, profile_id, instance_id, step, visit, at)
            SELECT * FROM unnest(\(intents.map { Shard($0.profileID) })::smallint[],
                                 \(intents.map(\.intentID))::uuid[], \(intents.map(\.profileID))::uuid[],
                                 \(intents.map(\.instanceID))::uuid[], \(intents.map(\.step))::text[],
                                 \(visits)::integer[], \(intents.map(\.at))::timestamptz[])
            """)
    }

    /// Everything that a profile's passages have asked for.
    func toldIntents(of profile: ProfileID) async throws -> [Told] {
        let rows = try await transaction.query(
            """
            SELECT intent_id, instance_id, step, visit, at, coalesce(stream_profile, profile_id) AS stream_profile,
                   coalesce(told_profile, stream_profile, profile_id) AS told_profile,
                   withdrawn_by IS NOT NULL AS is_withdrawn
            FROM journeys.intent WHERE shard = \(Shard(profile)) AND profile_id = \(profile)
            ORDER BY at, intent_id
            """)
        return try rows.map { row in
            Told(
                intent: ToldIntent(
                    id: try row.get("intent_id"), instanceID: try row.get("instance_id"),
                    step: try row.get("step"), visit: try row.get("visit"),
                    profileID: try row.get("told_profile"), at: try row.get("at"),
                    isWithdrawn: try row.get("is_withdrawn")),
                streamProfile: try row.get("stream_profile"))
        }
    }

    /// Notes what is being said of intents, and returns it with the profile under which each was told first, whose shard
    /// of the stream has all of it. The intents are with the profiles whose messages they are said to be.
    func write(corrections: [IntentCorrection]) async throws -> [(IntentCorrection, ProfileID)] {
        guard !corrections.isEmpty else { return [] }
        let rows = try await transaction.query(
            """
            UPDATE journeys.intent i
            SET told_profile = i.profile_id, stream_profile = coalesce(i.stream_profile, i.profile_id), at = w.at,
                withdrawn_by = CASE WHEN w.kind = 'withdrawn' THEN w.merge_id END
            FROM unnest(\(corrections.map { Shard($0.profileID) })::smallint[],
                        \(corrections.map(\.intentID))::uuid[], \(corrections.map(\.kind.rawValue))::text[],
                        \(corrections.map(\.at))::timestamptz[], \(corrections.map(\.mergeID))::uuid[])
                 AS w (shard, intent_id, kind, at, merge_id)
            JOIN journeys.intent was ON was.shard = w.shard AND was.intent_id = w.intent_id
            WHERE i.shard = w.shard AND i.intent_id = w.intent_id
            RETURNING i.intent_id, i.stream_profile, coalesce(w.merge_id, was.withdrawn_by) AS merge_id
            """)
        var known: [IntentID: (streamProfile: ProfileID, mergeID: MergeID?)] = [:]
        for row in rows {
            known[try row.get("intent_id")] = (try row.get("stream_profile"), try row.get("merge_id"))
        }
        return corrections.compactMap { correction in
            guard let known = known[correction.intentID] else { return nil }
            var correction = correction
            correction.mergeID = known.mergeID
            return (correction, known.streamProfile)
        }
    }
}
