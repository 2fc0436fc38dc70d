package import JourneysDomain
package import Models
package import Postgres
package import Sealing

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

    private let sealing: InstanceSealing

    package init(_ session: PostgresPool, vault: Vault) {
        self.session = session
        sealing = InstanceSealing(days: vault.days)
    }

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
        let rows = try await session.query(
            """
            SELECT instance_id, due_at, state FROM journeys.instance WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY entered_at DESC, instance_id DESC LIMIT \(limit)
            """)
        return try await sealing.states(rows)
    }

    package func instance(_ id: InstanceID) async throws -> InstanceState? {
        let rows = try await session.query(
            "SELECT instance_id, due_at, state FROM journeys.instance WHERE instance_id = \(id)")
        return try await sealing.states(rows).first
    }

    /// The history of an instance from its beginning, as far as one answer may hold.
    package func history(of instance: InstanceState) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT * FROM journeys.instance_history
            WHERE shard = \(Shard(instance.profileID)) AND instance_id = \(instance.id)
            ORDER BY ordinal LIMIT \(Self.historyLimit)
            """)
        return try await entries(rows)
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
        let rows = try await session.query(
            """
            SELECT * FROM journeys.instance_history WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY at DESC, history_id DESC LIMIT \(limit)
            """)
        return try await entries(rows)
    }

    private func entries(_ rows: [PostgresRow]) async throws -> [JSON] {
        var entries: [JSON] = []
        for row in rows { entries.append(try await entry(row)) }
        return entries
    }

    private func entry(_ row: PostgresRow) async throws -> JSON {
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
            "cause": try await sealing.history("cause", row),
            "detail": try await sealing.history("detail", row),
        ]
    }
}
