import Logging
import Models
import Postgres
import ProfileStore
import ServiceKit
import ServiceLifecycle

/// Makes profiles findable that were there before there was an index to search, shard by shard in the background. Each
/// chunk commits with its position; what is done twice changes nothing. Several instances take different shards.
struct SearchBackfill: Service {
    let store: ProfileStore
    let pool: PostgresPool
    let clock: ServiceClock
    let logger: Logger
    /// Profiles in one transaction, which are locked for its time.
    private static let chunk = 200

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    while try await step() {}
                    return
                } catch {
                    if Task.isCancelled { return }
                    logger.warning(
                        "the index for search is not filled; trying again", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(5))
                }
            }
        }
        // Its work is done, and a service that ends would end the process.
        try? await gracefulShutdown()
    }

    /// Takes one chunk of one shard; false when there is none left that nobody else has.
    func step() async throws -> Bool {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let open = try await transaction.query(
                """
                SELECT shard, profile_id FROM search_backfill WHERE finished_at IS NULL
                ORDER BY shard LIMIT 1 FOR UPDATE SKIP LOCKED
                """)
            guard let row = open.first else { return false }
            let shard: Shard = try row.get("shard")
            let ids = try await lock(
                in: shard, after: try row.get("profile_id", as: ProfileID?.self), in: transaction)
            if let index = try await index(of: ids, in: transaction) { try await transaction.execute(index) }
            try await transaction.execute(
                """
                UPDATE search_backfill
                SET profile_id = COALESCE(\(ids.last)::uuid, profile_id),
                    finished_at = CASE WHEN \(ids.count < Self.chunk) THEN \(now)::timestamptz END
                WHERE shard = \(shard)
                """)
            return true
        }
    }

    /// Locked, so that nobody is erased in between.
    private func lock(
        in shard: Shard, after position: ProfileID?, in transaction: PostgresTransaction
    ) async throws -> [ProfileID] {
        let bound: SQL = if let position { "AND profile_id > \(position)::uuid" } else { "" }
        let rows = try await transaction.query(
            """
            SELECT profile_id FROM profiles.profile WHERE shard = \(shard) \(bound)
            ORDER BY profile_id LIMIT \(Self.chunk)
            """)
        let ids = try rows.map { try $0.get("profile_id", as: ProfileID.self) }
        _ = try await ResolutionStore(key: store.key).lockProfiles(Set(ids), in: transaction)
        return ids
    }

    private func index(of ids: [ProfileID], in transaction: PostgresTransaction) async throws -> SQL? {
        guard !ids.isEmpty else { return nil }
        var terms: [SearchStore.Place: Set<String>] = [:]
        for stored in try await store.identifiers(of: ids, in: transaction) {
            guard let field = SearchField(identifier: stored.identifier.kind) else { continue }
            terms[SearchStore.Place(profileID: stored.profileID, field: field), default: []]
                .formUnion(field.terms(of: stored.identifier.value))
        }
        for stored in try await store.storedTraits(of: ids, in: transaction) {
            guard let field = SearchField(trait: stored.name), let value = stored.entry.value.string else {
                continue
            }
            terms[SearchStore.Place(profileID: stored.profileID, field: field), default: []]
                .formUnion(field.terms(of: value))
        }
        return SearchStore(key: store.key).index(terms)
    }
}
