import JourneysDomain
import Models
import Postgres
package import ServiceKit

/// What journeys hold about a person, and how it goes.
package enum JourneysPrivacy {
    package static let handler = PrivacyHandler(
        access: { request, transaction in
            let ids = request.profileIDs
            return .object([
                "remembered": try await rows("profile", "memory", ids, in: transaction),
                "instances": try await rows("instance", "state", ids, in: transaction),
                "history": try await rows("instance_history", "to_jsonb(t) - 'shard'", ids, in: transaction),
            ])
        },
        erase: { request, transaction in
            let tables = ProfileTables(transaction: transaction)
            _ = try await tables.lock(Set(request.profileIDs))
            return .object(try await tables.erase(request.profileIDs).mapValues { .integer(Int64($0)) })
        })

    private static func rows(
        _ table: String, _ expression: String, _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> JSON {
        let rows = try await transaction.query(
            """
            SELECT \(unsafe: expression) AS held FROM journeys.\(unsafe: table) t
            JOIN unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
                 ON t.shard = w.shard AND t.profile_id = w.profile_id
            """)
        return .array(try rows.map { try $0.get("held", as: JSON.self) })
    }
}
