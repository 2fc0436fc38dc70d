package import JourneysDomain
package import Models
package import Postgres

/// What can be asked about instances and their history.
package struct InstanceQueries: Sendable {
    package static let historyLimit = 1000

    /// A position in a list that is ordered by time, newest first.
    package struct Position: Sendable {
        package var at: Instant
        package var id: String

        package init(at: Instant, id: String) {
            self.at = at
            self.id = id
        }
    }

    private let session: PostgresPool

    package init(_ session: PostgresPool) { self.session = session }

    package func journeyExists(_ id: String) async throws -> Bool {
        try await !session.query(
            "SELECT FROM journeys.journey WHERE journey_id = \(id) AND deleted_at IS NULL"
        ).isEmpty
    }

    /// Instances of a journey, those that entered last first.
    package func instances(
        of journey: String, profileID: ProfileID?, running: Bool?, before: Position?, limit: Int
    ) async throws -> [InstanceState] {
        var conditions: [SQL] = ["journey_id = \(journey)"]
        if let profileID { conditions.append("shard = \(Shard(profileID)) AND profile_id = \(profileID)") }
        if let running { conditions.append(running ? "ended_at IS NULL" : "ended_at IS NOT NULL") }
        if let before {
            conditions.append("(entered_at, instance_id) < (\(before.at)::timestamptz, \(before.id)::uuid)")
        }
        return try await session.query(
            """
            SELECT due_at, state FROM journeys.instance WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY entered_at DESC, instance_id DESC LIMIT \(limit)
            """
        ).map { try ProfileTables.state($0) }
    }

    package func instance(_ id: InstanceID) async throws -> InstanceState? {
        try await session.query("SELECT due_at, state FROM journeys.instance WHERE instance_id = \(id)").first
            .map { try ProfileTables.state($0) }
    }

    /// The history of an instance from its beginning, as far as one answer may hold.
    package func history(of instance: InstanceState) async throws -> [JSON] {
        try await session.query(
            """
            SELECT * FROM journeys.instance_history
            WHERE shard = \(Shard(instance.profileID)) AND instance_id = \(instance.id)
            ORDER BY ordinal LIMIT \(Self.historyLimit)
            """
        ).map { try Self.entry($0) }
    }

    /// The history of a journey, the newest first, with those who were not let in.
    package func history(
        of journey: String, profileID: ProfileID?, kind: HistoryKind?, before: Position?, limit: Int
    ) async throws -> [JSON] {
        var conditions: [SQL] = ["journey_id = \(journey)"]
        if let profileID { conditions.append("shard = \(Shard(profileID)) AND profile_id = \(profileID)") }
        if let kind { conditions.append("kind = \(kind.rawValue)") }
        if let before {
            conditions.append("(at, history_id) < (\(before.at)::timestamptz, \(before.id)::uuid)")
        }
        return try await session.query(
            """
            SELECT * FROM journeys.instance_history WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY at DESC, history_id DESC LIMIT \(limit)
            """
        ).map { try Self.entry($0) }
    }

    private static func entry(_ row: PostgresRow) throws -> JSON {
        func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
        return [
            "historyId": .string(try row.get("history_id")),
            "journey": .string(try row.get("journey_id")),
            "version": .integer(Int64(try row.get("version", as: Int.self))),
            "instanceId": text(try row.get("instance_id", as: String?.self)),
            "profileId": .string(try row.get("profile_id")),
            "kind": .string(try row.get("kind")),
            "step": text(try row.get("step", as: String?.self)),
            "at": .string(try row.get("at", as: Instant.self).rfc3339),
            "cause": try row.get("cause", as: JSON.self),
            "detail": try row.get("detail", as: JSON.self),
        ]
    }
}
