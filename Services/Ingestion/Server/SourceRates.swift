import Models
import ServiceKit
import Synchronization

/// How many items each source may send: a token bucket per source. A page gone wild must not crowd the others out.
final class SourceRates: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: ContinuousClock.Instant
    }

    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[SourceID: Bucket]>([:])

    /// `perSecond` items on average; ten seconds' worth at once.
    init(perSecond: Int) {
        self.perSecond = Double(max(1, perSecond))
        burst = self.perSecond * 10
    }

    /// Throws 429 when the source is over its rate; whatever it sends is then not taken at all. A batch larger than
    /// what is left is taken when the bucket is full, so that no batch is refused for ever.
    func check(_ source: SourceID, items: Int, now: ContinuousClock.Instant = .now) throws(Problem) {
        let wait: Double? = buckets.withLock { buckets in
            var bucket = buckets[source] ?? Bucket(tokens: burst, at: now)
            let elapsed = bucket.at.duration(to: now) / .seconds(1)
            bucket.tokens = min(burst, bucket.tokens + max(0, elapsed) * perSecond)
            bucket.at = now
            defer { buckets[source] = bucket }
            let needed = min(Double(items), burst)
            guard bucket.tokens >= needed else { return (needed - bucket.tokens) / perSecond }
            bucket.tokens -= Double(items)
            return nil
        }
        guard let wait else { return }
        throw .tooManyRequests(
            retryAfterSeconds: max(1, Int(wait.rounded(.up))),
            "a source may send \(Int(perSecond)) items a second; wait and send the same again")
    }
}
