import Models
import Synchronization

/// A token bucket per caller: API key or service, else the peer's address. Bounded in memory.
final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: ContinuousClock.Instant
    }

    let proxies: TrustedProxies
    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    /// `perSecond` requests on average, `burst` at once.
    init(perSecond: Int, burst: Int, proxies: TrustedProxies = .none) {
        self.proxies = proxies
        self.perSecond = Double(max(1, perSecond))
        self.burst = Double(max(1, burst))
    }

    /// Throws 429 when the caller is over its rate. Services of the installation are not limited here.
    func check(caller: Caller, address: String, now: ContinuousClock.Instant = .now) throws(Problem) {
        switch caller {
        case .service: return
        case .apiKey(let id, _): try check(key: "key " + id.description, now: now)
        case .anonymous: try check(key: Self.key(address: address), now: now)
        }
    }

    /// What whoever shows no key is counted under.
    static func key(address: String) -> String { "address " + address }

    /// The same for a caller whose key is known.
    func check(key: String, now: ContinuousClock.Instant = .now) throws(Problem) {
        let allowed = buckets.withLock { buckets in
            if buckets.count > 100_000 { buckets.removeAll() }
            var bucket = buckets[key] ?? Bucket(tokens: burst, at: now)
            let elapsed =
                Double(bucket.at.duration(to: now).components.attoseconds) / 1e18
                + Double(bucket.at.duration(to: now).components.seconds)
            bucket.tokens = min(burst, bucket.tokens + elapsed * perSecond)
            bucket.at = now
            defer { buckets[key] = bucket }
            guard bucket.tokens >= 1 else { return false }
            bucket.tokens -= 1
            return true
        }
        guard allowed else {
            throw .tooManyRequests(
                retryAfterSeconds: 1, "at most \(Int(perSecond)) requests a second; wait and try again")
        }
    }
}
