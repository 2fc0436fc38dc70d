import JourneysDomain
import Models
import Postgres
import Streams

/// What is read to go through a person's journeys again.
extension ProfileTables {
    /// A passage, and what ended it.
    struct Passage {
        var state: InstanceState
        var exitCause: JSON?
    }

    /// Every profile that this one stands for, itself too.
    func standing(for holder: ProfileID) async throws -> Set<ProfileID> {
        let rows = try await transaction.query(
            "SELECT profile_id FROM journeys.profile WHERE survivor_id = \(holder)")
        return Set(try rows.map { try $0.get("profile_id") }).union([holder])
    }

    /// All passages of a profile, also those that ended.
    func passages(of profile: ProfileID) async throws -> [Passage] {
        let rows = try await transaction.query(
            """
            SELECT i.instance_id, i.due_at, i.state, h.history_id, h.cause
            FROM journeys.instance i
            LEFT JOIN LATERAL (
                SELECT h.history_id, h.cause FROM journeys.instance_history h
                WHERE h.shard = i.shard AND h.instance_id = i.instance_id AND h.kind = 'exited'
                ORDER BY h.ordinal DESC LIMIT 1
            ) h ON true
            WHERE i.shard = \(Shard(profile)) AND i.profile_id = \(profile)
            ORDER BY i.instance_id
            """)
        var passages: [Passage] = []
        for row in rows {
            let hasEnded = try row.get("history_id", as: String?.self) != nil
            var state = try await sealing.state(row)
            // A passage that had ended when its profile was merged into this one still names that one.
            state.profileID = profile
            passages.append(
                Passage(
                    state: state,
                    exitCause: hasEnded ? try await sealing.history("cause", row) : nil))
        }
        return passages
    }

    /// The triggers that were refused to a profile because of what it had done before.
    func refusedTriggers(of profile: ProfileID) async throws -> [JourneyReplay.Considered] {
        let rows = try await transaction.query(
            """
            SELECT journey_id, version, history_id, cause, detail FROM journeys.instance_history
            WHERE shard = \(Shard(profile)) AND profile_id = \(profile) AND kind = 'notEntered'
            ORDER BY at, history_id
            """)
        var considered: [JourneyReplay.Considered] = []
        for row in rows {
            guard let reason = try await sealing.history("detail", row)["reason"]?.string,
                RefusedEntry.ofThePerson.contains(reason),
                let key = try await sealing.history("cause", row)["messageId"]?.string
            else { continue }
            considered.append(
                JourneyReplay.Considered(
                    journey: try row.get("journey_id"), version: try row.get("version"), triggerKey: key))
        }
        return considered
    }

    /// The events that arrived under the profiles, in the order in which they came.
    func events(of profiles: [ProfileID]) async throws -> [JourneyReplay.Arrival] {
        let rows = try await transaction.query(
            """
            SELECT shard, "offset", key, recorded_at, profile_id, body FROM profiles.timeline
            WHERE profile_id = ANY(\(profiles)::uuid[])
            ORDER BY recorded_at, shard, "offset"
            """)
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction)
        return try zip(rows, bodies).compactMap { row, text in
            guard let body = try? JSONParser.parse(Array(text.utf8)[...]), body["kind"] == "event",
                let fact = try? ProfileFact(json: body), case .event(_, _, let event) = fact
            else { return nil }
            let position = StreamPosition(
                stream: StreamDefinition.profileEvents.name, shard: try row.get("shard"),
                offset: try row.get("offset"))
            return JourneyReplay.Arrival(
                JourneyFact(.event(event), position: position), at: try row.get("recorded_at"))
        }
    }
}
