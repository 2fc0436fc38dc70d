import JourneysDomain
import Models
import Postgres
package import ProfileStore
import Sealing
package import ServiceKit

/// What journeys hold about a person, and how it goes.
package struct JourneysPrivacy: Sendable {
    private let catalogs: CatalogStore
    private let profiles: ProfileStore
    private let clock: ServiceClock

    package init(catalogs: CatalogStore, profiles: ProfileStore, clock: ServiceClock) {
        self.catalogs = catalogs
        self.profiles = profiles
        self.clock = clock
    }

    package var handler: PrivacyHandler {
        PrivacyHandler(
            access: { request, transaction in try await access(request, in: transaction) },
            erase: { request, transaction in try await erase(request, in: transaction) })
    }

    private func access(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        let ids = request.profileIDs
        let sealing = InstanceSealing(days: profiles.vault.days)
        var (remembered, instances, history): ([JSON], [JSON], [JSON]) = ([], [], [])
        for row in try await Self.rows("profile", "t.profile_id, t.memory", ids, in: transaction) {
            remembered.append(try await sealing.memory(row))
        }
        for row in try await Self.rows(
            "instance", "t.instance_id, t.due_at, t.state", ids, in: transaction)
        {
            instances.append(try await sealing.state(row).json)
        }
        for row in try await Self.rows(
            "instance_history",
            "t.history_id, t.cause, t.detail, to_jsonb(t) - 'shard' - 'cause' - 'detail' AS held", ids,
            in: transaction)
        {
            var held = try row.get("held", as: JSON.self).object ?? [:]
            held["cause"] = try await sealing.history("cause", row)
            held["detail"] = try await sealing.history("detail", row)
            history.append(.object(held))
        }
        return ["remembered": .array(remembered), "instances": .array(instances), "history": .array(history)]
    }

    private func erase(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        let tables = ProfileTables(transaction: transaction, vault: profiles.vault)
        let (ids, now) = (Set(request.profileIDs), try await clock.now())
        let catalog = try await catalogs.current(in: transaction)
        if !(try await tables.grouping(of: ids, by: profiles)).torn.isEmpty {
            // Somebody else is still taken for them here, and is not to go with them.
            _ = try await Regrouping(catalog: catalog, profiles: profiles, transaction: transaction)
                .follow(Regrouping.Sign(profiles: ids, at: now, now: now))
        }
        let counts = try await tables.erase(request.profileIDs, at: now)
        return .object(counts.mapValues { .integer(Int64($0)) })
    }

    private static func rows(
        _ table: String, _ columns: String, _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [PostgresRow] {
        try await transaction.query(
            """
            SELECT \(unsafe: columns) FROM journeys.\(unsafe: table) t
            JOIN unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
                 ON t.shard = w.shard AND t.profile_id = w.profile_id
            """)
    }
}
