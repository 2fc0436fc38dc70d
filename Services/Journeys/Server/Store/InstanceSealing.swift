import JourneysDomain
import Models
import Postgres
import Sealing

/// How what journeys remember is sealed: what came in with a trigger may be anything that an event can say.
struct InstanceSealing: Sendable {
    let days: DayKeys

    static func memory(of id: ProfileID) -> String { "journeys.profile.memory \(id)" }
    static func state(of id: InstanceID) -> String { "journeys.instance.state \(id)" }
    static func history(_ column: String, of id: String) -> String {
        "journeys.instance_history.\(column) \(id)"
    }

    /// An instance from its row. A paused journey's timers are moved in the column alone.
    func state(_ row: PostgresRow) async throws -> InstanceState {
        let json = try await days.open(
            try row.get("state", as: JSON.self), at: Self.state(of: try row.get("instance_id")))
        var state = try InstanceState(json: json)
        state.dueAt = try row.get("due_at", as: Instant?.self)
        return state
    }

    func states(_ rows: [PostgresRow]) async throws -> [InstanceState] {
        var states: [InstanceState] = []
        for row in rows { states.append(try await state(row)) }
        return states
    }

    /// What a profile's row remembers.
    func memory(_ row: PostgresRow) async throws -> JSON {
        try await days.open(
            try row.get("memory", as: JSON.self), at: Self.memory(of: try row.get("profile_id")))
    }

    /// `cause` or `detail` of a row of the history.
    func history(_ column: String, _ row: PostgresRow) async throws -> JSON {
        try await days.open(
            try row.get(column, as: JSON.self),
            at: Self.history(column, of: try row.get("history_id", as: String.self)))
    }
}
