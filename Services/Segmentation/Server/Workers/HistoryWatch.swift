import Models
import Postgres
import Streams
import Synchronization

/// Notices when history is being read in, so that deadlines of long ago wait for the facts that are still to come.
///
/// An import sends years of facts within minutes, and there are moments at which all that was sent is processed. If a
/// deadline of back then fired in such a moment, the next fact of its profile would be late. Deadlines of the present
/// are not concerned: they fire at once. It is kept in a row, by the clock of the database, as another instance may be
/// the one that reads.
final class HistoryWatch: Sendable {
    /// What is older than this when it is recorded is history.
    static let age = Duration.hours(1)
    /// How often it is noted at most: what a batch says counts for this long as well.
    private static let pace = Duration.seconds(1)

    /// How long after the last batch of history the deadlines of back then still wait.
    let settle: Duration
    private let pool: PostgresPool
    private let noted: Mutex<ContinuousClock.Instant?> = Mutex(nil)

    init(settle: Duration, pool: PostgresPool) { (self.settle, self.pool) = (settle, pool) }

    /// Looks at the facts of a batch: it is of an import if more than half of them are history. That is known to all
    /// before the batch takes effect.
    func see(_ facts: [ProfileFact], recorded records: [StreamRecord]) async throws {
        guard settle > .zero else { return }
        let old = zip(facts, records).count { fact, record in
            guard case .event(_, _, let event) = fact else { return false }
            return event.timestamp < record.recordedAt - Self.age
        }
        guard old * 2 > facts.count else { return }
        let isKnown = noted.withLock { $0.map { ContinuousClock.now - $0 < Self.pace } ?? false }
        guard !isKnown else { return }
        try await pool.execute(
            """
            INSERT INTO history_watch (seen_at) VALUES (clock_timestamp())
            ON CONFLICT (only_row) DO UPDATE SET seen_at = excluded.seen_at
            WHERE history_watch.seen_at < excluded.seen_at
            """)
        noted.withLock { $0 = .now }
    }

    /// Whether history is being read in, by whichever instance.
    func isReading() async throws -> Bool {
        guard settle > .zero else { return false }
        let milliseconds = (settle + Self.pace).milliseconds
        return try await !pool.query(
            """
            SELECT FROM history_watch
            WHERE clock_timestamp() - seen_at < \(milliseconds)::bigint * interval '1 millisecond'
            """
        ).isEmpty
    }
}
