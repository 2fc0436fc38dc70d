import Models
import Streams
import Synchronization

/// Notices when history is being read in, so that deadlines of long ago wait for the facts that are still to come.
///
/// An import sends years of facts within minutes, and there are moments at which all that was sent is processed. If a
/// deadline of back then fired in such a moment, the next fact of its profile would be late. Deadlines of the present
/// are not concerned: they fire at once.
final class HistoryWatch: Sendable {
    /// What is older than this when it is recorded is history.
    static let age = Duration.hours(1)

    /// How long after the last batch of history the deadlines of back then still wait.
    let settle: Duration
    private let latest: Mutex<ContinuousClock.Instant?> = Mutex(nil)

    init(settle: Duration) { self.settle = settle }

    /// Looks at the facts of a batch: it is of an import if more than half of them are history.
    func see(_ facts: [ProfileFact], recorded records: [StreamRecord]) {
        let old = zip(facts, records).count { fact, record in
            guard case .event(_, _, let event) = fact else { return false }
            return event.timestamp < record.recordedAt - Self.age
        }
        guard old * 2 > facts.count else { return }
        latest.withLock { $0 = .now }
    }

    /// Whether history is being read in.
    var isReading: Bool {
        latest.withLock { $0.map { ContinuousClock.now - $0 < settle } ?? false }
    }
}
