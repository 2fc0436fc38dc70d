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
        var quarantined = 0
        var refused = 0
        var received: Int { accepted + duplicate + quarantined + refused }

        mutating func add(_ verdict: Verdict) {
            switch verdict {
            case .accepted: accepted += 1
            case .duplicate: duplicate += 1
            case .quarantined: quarantined += 1
            case .refused: refused += 1
            }
        }
    }

    private(set) var counts: [Place: Count] = [:]

    mutating func add(_ verdicts: [Verdict], source: SourceID, at instant: Instant) {
        guard !verdicts.isEmpty else { return }
        change(source: source, at: instant) { count in
            for verdict in verdicts { count.add(verdict) }
        }
    }

    /// An item that was received at `instant` leaves the quarantine.
    mutating func release(source: SourceID, at instant: Instant, isDuplicate: Bool) {
        change(source: source, at: instant) { count in
            count.quarantined -= 1
            if isDuplicate { count.duplicate += 1 } else { count.accepted += 1 }
        }
    }

    private mutating func change(source: SourceID, at instant: Instant, _ body: (inout Count) -> Void) {
        body(&counts[Place(source: source, hour: instant.startOfHour), default: Count()])
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
        let quarantined: Int64
        let refused: Int64
        /// Accepted in the hours whose message keys are all still remembered, and how many keys there are of them,
        /// which must be as many.
        let provable: Int64
        let stored: Int64
        /// How many items lie in quarantine, which `quarantined` must equal.
        let held: Int64
    }

    static func add(_ counts: ReconciliationCounts, in transaction: PostgresTransaction) async throws {
        if let statement = addition(of: counts) { try await transaction.execute(statement) }
    }

    /// The statement that adds to the account; nil where there is nothing to add.
    static func addition(of counts: ReconciliationCounts) -> SQL? {
        // Rows are locked in one order by all writers.
        let ordered = counts.counts.sorted {
            ($0.key.source, $0.key.hour) < ($1.key.source, $1.key.hour)
        }
        if ordered.isEmpty { return nil }
        func column(_ value: (ReconciliationCounts.Count) -> Int) -> [Int64] {
            ordered.map { Int64(value($0.value)) }
        }
        return """
            INSERT INTO reconciliation AS r (source_id, hour, received, accepted, duplicate, quarantined, refused)
            SELECT * FROM unnest(\(binary: ordered.map(\.key.source)), \(binary: ordered.map(\.key.hour)),
                \(binary: column(\.received)), \(binary: column(\.accepted)), \(binary: column(\.duplicate)),
                \(binary: column(\.quarantined)), \(binary: column(\.refused)))
            ON CONFLICT (source_id, hour) DO UPDATE SET received = r.received + excluded.received,
                accepted = r.accepted + excluded.accepted, duplicate = r.duplicate + excluded.duplicate,
                quarantined = r.quarantined + excluded.quarantined, refused = r.refused + excluded.refused
            """
    }

    /// Both sides of the account, from one snapshot: what was counted, and what is stored, for the hours that begin in
    /// the time given. Message keys received before `remembered` may be forgotten already.
    func report(from: Instant, to: Instant, source: SourceID?, remembered: Instant) async throws -> [Line] {
        let provable = max(from, remembered.startOfHour + .hours(1))
        let rows = try await pool.query(
            """
            SELECT r.source_id, sum(received)::bigint AS received, sum(accepted)::bigint AS accepted,
                sum(duplicate)::bigint AS duplicate, sum(quarantined)::bigint AS quarantined,
                sum(refused)::bigint AS refused,
                coalesce(sum(accepted) FILTER (WHERE hour >= \(provable)), 0)::bigint AS provable,
                (SELECT count(*) FROM message_key k WHERE k.source_id = r.source_id
                    AND k.received_at >= \(provable) AND date_trunc('hour', k.received_at) < \(to)) AS stored,
                (SELECT count(*) FROM quarantine q WHERE q.source_id = r.source_id AND q.settled_at IS NULL
                    AND date_trunc('hour', q.received_at) >= \(from)
                    AND date_trunc('hour', q.received_at) < \(to)) AS held
            FROM reconciliation r
            WHERE hour >= \(from) AND hour < \(to) AND (\(source)::uuid IS NULL OR r.source_id = \(source)::uuid)
            GROUP BY r.source_id
            ORDER BY r.source_id
            """)
        return try rows.map { row in
            Line(
                source: try row.get("source_id"), received: try row.get("received"),
                accepted: try row.get("accepted"), duplicate: try row.get("duplicate"),
                quarantined: try row.get("quarantined"), refused: try row.get("refused"),
                provable: try row.get("provable"), stored: try row.get("stored"), held: try row.get("held"))
        }
    }
}

extension Instant {
    /// The full hour, UTC, that it lies in.
    var startOfHour: Instant { Instant(milliseconds: milliseconds - milliseconds % 3_600_000) }
}
