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

    /// A trigger that was refused to somebody because of what they had done before.
    struct Refusal {
        var id: HistoryID
        var holder: ProfileID
        var considered: JourneyReplay.Considered
    }

    func refusals(of profile: ProfileID) async throws -> [Refusal] {
        let rows = try await transaction.query(
            """
            SELECT journey_id, version, history_id, cause, detail FROM journeys.instance_history
            WHERE shard = \(Shard(profile)) AND profile_id = \(profile) AND kind = 'notEntered'
            ORDER BY at, history_id
            """)
        var refusals: [Refusal] = []
        for row in rows {
            guard let reason = try await sealing.history("detail", row)["reason"]?.string,
                RefusedEntry.ofThePerson.contains(reason),
                let key = try await sealing.history("cause", row)["messageId"]?.string
            else { continue }
            refusals.append(
                Refusal(
                    id: try row.get("history_id"), holder: profile,
                    considered: JourneyReplay.Considered(
                        journey: try row.get("journey_id"), version: try row.get("version"), triggerKey: key))
            )
        }
        return refusals
    }

    /// What the timeline says of profiles.
    struct Past {
        /// The events that arrived under each, in the order in which they came.
        var arrivals: [ProfileID: [JourneyReplay.Arrival]] = [:]
        /// When merges were told.
        var merges: [MergeID: Instant] = [:]
    }

    func past(of profiles: [ProfileID]) async throws -> Past {
        let rows = try await transaction.query(
            """
            SELECT shard, "offset", key, recorded_at, profile_id, body FROM profiles.timeline
            WHERE profile_id = ANY(\(profiles)::uuid[])
            ORDER BY recorded_at, shard, "offset"
            """)
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction)
        var past = Past()
        for (row, text) in zip(rows, bodies) {
            guard let body = try? JSONParser.parse(Array(text.utf8)[...]),
                let fact = try? ProfileFact(json: body)
            else { continue }
            let at: Instant = try row.get("recorded_at")
            switch fact {
            case .event(_, let profile, let event):
                let position = StreamPosition(
                    stream: StreamDefinition.profileEvents.name, shard: try row.get("shard"),
                    offset: try row.get("offset"))
                past.arrivals[profile, default: []].append(
                    JourneyReplay.Arrival(JourneyFact(.event(event), position: position), at: at))
            case .merge(_, _, let id, _, _), .mergedInto(_, _, let id, _): past.merges[id] = at
            case .unmerge, .unmergedFrom, .withheld, .erased: break
            }
        }
        return past
    }
}
