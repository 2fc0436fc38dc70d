import IngestionDomain
import Models
import Postgres

/// What became of items, by source and hour.
struct ReconciliationCounts: Sendable {
    struct Place: Hashable, Sendable {
        let source: SourceID
        let hour: Instant
    }

    struct Count: Sendable {
        var accepted = 0
        var duplicate = 0
        var refused = 0
        var received: Int { accepted + duplicate + refused }
    }

    private(set) var counts: [Place: Count] = [:]

    mutating func add(_ verdicts: [Verdict], source: SourceID, at instant: Instant) {
        guard !verdicts.isEmpty else { return }
        let hour = Instant(milliseconds: instant.milliseconds - instant.milliseconds % 3_600_000)
        for verdict in verdicts {
            switch verdict {
            case .accepted: counts[Place(source: source, hour: hour), default: Count()].accepted += 1
            case .duplicate: counts[Place(source: source, hour: hour), default: Count()].duplicate += 1
            case .refused: counts[Place(source: source, hour: hour), default: Count()].refused += 1
            }
        }
    }
}

/// The SQL of the reconciliation.
struct ReconciliationStore: Sendable {
    let pool: PostgresPool

    /// One line of the report.
    struct Line: Sendable {
        let source: SourceID
        let received: Int64
        let accepted: Int64
        let duplicate: Int64
        let refused: Int64
        /// How many messages the source's keys hold for the time, which `accepted` must equal.
        let stored: Int64
    }

    static func add(_ counts: ReconciliationCounts, in transaction: PostgresTransaction) async throws {
        // Rows are locked in one order by all writers.
        let ordered = counts.counts.sorted {
            ($0.key.source, $0.key.hour) < ($1.key.source, $1.key.hour)
        }
        if ordered.isEmpty { return }
        try await transaction.execute(
            """
            INSERT INTO reconciliation AS r (source_id, hour, received, accepted, duplicate, refused)
            SELECT * FROM unnest(\(ordered.map(\.key.source))::uuid[], \(ordered.map(\.key.hour))::timestamptz[],
                \(ordered.map(\.value.received))::bigint[], \(ordered.map(\.value.accepted))::bigint[],
                \(ordered.map(\.value.duplicate))::bigint[], \(ordered.map(\.value.refused))::bigint[])
            ON CONFLICT (source_id, hour) DO UPDATE SET received = r.received + excluded.received,
                accepted = r.accepted + excluded.accepted, duplicate = r.duplicate + excluded.duplicate,
                refused = r.refused + excluded.refused
            """)
    }

    /// Both sides of the account, from one snapshot: what was counted, and what is stored, for the hours that begin in
    /// the time given.
    func report(from: Instant, to: Instant, source: SourceID?) async throws -> [Line] {
        let rows = try await pool.query(
            """
            SELECT r.source_id, sum(received)::bigint AS received, sum(accepted)::bigint AS accepted,
                sum(duplicate)::bigint AS duplicate, sum(refused)::bigint AS refused,
                (SELECT count(*) FROM message_key k WHERE k.source_id = r.source_id
                    AND date_trunc('hour', k.received_at) >= \(from)
                    AND date_trunc('hour', k.received_at) < \(to)) AS stored
            FROM reconciliation r
            WHERE hour >= \(from) AND hour < \(to) AND (\(source)::uuid IS NULL OR r.source_id = \(source)::uuid)
            GROUP BY r.source_id
            ORDER BY r.source_id
            """)
        return try rows.map { row in
            Line(
                source: try row.get("source_id"), received: try row.get("received"),
                accepted: try row.get("accepted"), duplicate: try row.get("duplicate"),
                refused: try row.get("refused"), stored: try row.get("stored"))
        }
    }
}
