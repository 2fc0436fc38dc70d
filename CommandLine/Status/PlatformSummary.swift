import Models
import Postgres

/// What an installation holds, in numbers.
struct PlatformSummary: Sendable {
    var now = Instant.distantPast
    var isRehearsal = false
    var events: Int64 = 0
    var profiles: Int64 = 0
    var merges: Int64 = 0
    var memberships: [(segment: String, members: Int64)] = []
    var stages: [(stage: String, number: Int64)] = []
    var instances: [(status: String, number: Int64)] = []
    var messages: [(status: String, number: Int64)] = []
    var quarantined: Int64 = 0
    var look = PlatformLook()

    /// Counts everything. Exact, so it takes its time on a large installation.
    static func read(_ pool: PostgresPool) async throws -> PlatformSummary {
        var summary = PlatformSummary()
        summary.look = try await PlatformObserver(pool: pool).look()
        summary.now = summary.look.now
        let kind = try await pool.query("SELECT rehearsal FROM platform.installation").first
        summary.isRehearsal = try kind?.get("rehearsal", as: Bool.self) ?? false
        summary.events = try await number(
            pool,
            "SELECT coalesce(sum(next_offset - 1), 0)::bigint AS n FROM ingestion.stream_head WHERE stream = 'events'"
        )
        summary.profiles = try await number(
            pool,
            "SELECT count(*) AS n FROM profiles.profile WHERE canonical_id = profile_id AND erased_at IS NULL"
        )
        summary.merges = try await number(
            pool, "SELECT count(*) AS n FROM profiles.merge WHERE undone_at IS NULL")
        summary.memberships = try await groups(
            pool,
            "SELECT segment AS name, count(*) AS n FROM profiles.membership GROUP BY segment ORDER BY segment"
        ).map { (segment: $0, members: $1) }
        summary.stages = try await groups(
            pool, "SELECT stage AS name, count(*) AS n FROM profiles.stage GROUP BY stage ORDER BY stage"
        ).map { (stage: $0, number: $1) }
        summary.instances = try await groups(
            pool,
            """
            SELECT CASE WHEN ended_at IS NULL THEN 'running' ELSE 'ended' END AS name, count(*) AS n
            FROM journeys.instance GROUP BY 1 ORDER BY 1
            """
        ).map { (status: $0, number: $1) }
        summary.messages = try await groups(
            pool,
            "SELECT state AS name, count(*) AS n FROM delivery.message GROUP BY 1 ORDER BY 1"
        ).map { (status: $0, number: $1) }
        for service in ServiceName.deployed {
            summary.quarantined += try await number(
                pool,
                "SELECT count(*) AS n FROM \(unsafe: service.schema).stream_quarantine WHERE replayed_at IS NULL"
            )
        }
        return summary
    }

    /// A count, or 0 where the table is not there (a service that is not installed).
    private static func number(_ pool: PostgresPool, _ sql: SQL) async throws -> Int64 {
        do { return try await pool.query(sql).first?.get("n", as: Int64.self) ?? 0 } catch let error
            as PostgresError
            where error.isMissingTable
        { return 0 }
    }

    private static func groups(_ pool: PostgresPool, _ sql: SQL) async throws -> [(String, Int64)] {
        do {
            return try await pool.query(sql).map { (try $0.get("name"), try $0.get("n")) }
        } catch let error as PostgresError where error.isMissingTable { return [] }
    }

    /// For people.
    var text: String {
        func list(_ parts: [(String, Int64)]) -> String {
            parts.isEmpty ? "none" : parts.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        }
        return """
            time         \(now.rfc3339)\(isRehearsal ? " (rehearsal)" : "")
            events       \(events)
            profiles     \(profiles)
            merges       \(merges)
            memberships  \(list(memberships.map { ($0.segment, $0.members) }))
            stages       \(list(stages.map { ($0.stage, $0.number) }))
            journeys     \(list(instances.map { ($0.status, $0.number) }))
            mails        \(list(messages.map { ($0.status, $0.number) }))
            quarantined  \(quarantined)
            lag          \(look.isDrained ? "none: everything is done" : look.waitingFor)
            """
    }

    /// For programs.
    var json: JSON {
        func object(_ parts: [(String, Int64)]) -> JSON {
            .object(Dictionary(parts.map { ($0.0, .integer($0.1)) }, uniquingKeysWith: { first, _ in first }))
        }
        return [
            "now": .string(now.rfc3339), "rehearsal": .bool(isRehearsal), "events": .integer(events),
            "profiles": .integer(profiles), "merges": .integer(merges),
            "memberships": object(memberships.map { ($0.segment, $0.members) }),
            "stages": object(stages.map { ($0.stage, $0.number) }),
            "instances": object(instances.map { ($0.status, $0.number) }),
            "messages": object(messages.map { ($0.status, $0.number) }),
            "quarantined": .integer(quarantined), "drained": .bool(look.isDrained),
            "lag": .integer(look.lags.map(\.records).reduce(0, +)),
        ]
    }
}

extension PostgresError {
    /// Whether the statement named a table or a schema that is not there.
    var isMissingTable: Bool {
        if case .server(let error) = self { return error.sqlState == "42P01" || error.sqlState == "3F000" }
        return false
    }
}
