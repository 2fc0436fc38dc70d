import JourneysDomain
package import Models
package import Postgres
package import ProfileStore
package import ServiceKit
package import Streams

/// Fires the timers of instances at their instant.
package struct TimersWorker: Sendable {
    private static let page = 200

    private let pool: PostgresPool
    private let catalogs: CatalogStore
    private let profiles: ProfileStore

    package init(pool: PostgresPool, catalogs: CatalogStore, profiles: ProfileStore) {
        self.pool = pool
        self.catalogs = catalogs
        self.profiles = profiles
    }

    package func sweeper(in context: ServiceContext, after consumers: [StreamConsumer]) -> DeadlineSweeper {
        context.sweeper(after: consumers) { now in try await fire(now) }
    }

    /// Fires what is due, the earliest first, for at most a page of profiles. Returns for how many.
    package func fire(_ now: Instant) async throws -> Int {
        try await pool.transaction { transaction in
            let catalog = try await catalogs.current(in: transaction)
            let due = try await transaction.query(
                """
                SELECT profile_id, min(due_at) AS due_at FROM journeys.deadline WHERE due_at <= \(now)
                GROUP BY shard, profile_id ORDER BY min(due_at), profile_id LIMIT \(Self.page)
                """
            ).map {
                (id: try $0.get("profile_id", as: ProfileID.self), at: try $0.get("due_at", as: Instant.self))
            }
            guard let last = due.last else { return 0 }
            // When there are more, those that come later wait, so that nobody's second timer precedes another's first.
            let horizon = due.count < Self.page ? now : last.at
            // Profiles are locked before their timers, here as everywhere.
            var desk = try await ProfileDesk.open(
                Set(due.map(\.id)), profiles: profiles, catalog: catalog, at: now, in: transaction)
            try await clear(due.map(\.id), through: horizon, in: transaction)
            for (id, _) in due { desk.fireTimers(of: id, through: horizon) }
            try await desk.commit(at: now)
            return due.count
        }
    }

    /// Removes the rows that fire now; what still stands afterwards is written again.
    private func clear(_ ids: [ProfileID], through instant: Instant, in transaction: PostgresTransaction)
        async throws
    {
        try await transaction.execute(
            """
            DELETE FROM journeys.deadline d
            USING unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
            WHERE d.shard = w.shard AND d.profile_id = w.profile_id AND d.due_at <= \(instant)
            """)
    }
}
