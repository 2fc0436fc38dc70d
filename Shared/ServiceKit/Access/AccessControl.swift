package import Models
package import Postgres
import Synchronization

/// Tells who calls, from the `Authorization` header.
package final class AccessControl: Sendable {
    private struct Cached {
        let caller: Caller
        let until: ContinuousClock.Instant
        /// Somebody is asking the database once more.
        var isRefreshed = false
    }

    /// How long a key that was looked up is taken as it was, and how much longer while one caller looks it up again: else
    /// all that come at that moment would. A revoked key goes on for no longer than both.
    private static let keyCacheLifetime: Duration = .milliseconds(1_500)
    private static let refreshing: Duration = .milliseconds(500)

    package let tokens: ServiceTokens
    private let service: ServiceName
    private let keys: APIKeyStore
    private let cache = Mutex<[String: Cached]>([:])

    package init(service: ServiceName, tokens: ServiceTokens, pool: PostgresPool) {
        self.service = service
        self.tokens = tokens
        keys = APIKeyStore(pool: pool)
    }

    /// The caller behind a header value; `.anonymous` when there is none of the `Bearer` kind.
    /// Throws a 401 problem for a bearer that is not good, so that a caller learns of a revoked key.
    package func caller(authorization: String?) async throws -> Caller {
        guard let authorization, authorization.lowercased().hasPrefix("bearer ") else { return .anonymous }
        let bearer = authorization.dropFirst("bearer ".count).trimming(while: { $0 == " " })
        if bearer.hasPrefix("mk_") { return try await keyCaller(String(bearer)) }
        guard let caller = tokens.verify(String(bearer), audience: service) else {
            throw Problem.unauthorized("the bearer token is not valid here; get a new one")
        }
        return .service(caller)
    }

    private func keyCaller(_ text: String) async throws -> Caller {
        if let caller = cached(text) { return caller }
        guard let key = try await keys.find(text: text, now: .fromSystemClock()) else {
            cache.withLock { $0[text] = nil }
            throw Problem.unauthorized(
                "the API key is unknown, expired or revoked; make one with `martlet keys create`")
        }
        let caller = Caller.apiKey(key.id, scopes: key.scopes)
        cache.withLock { cache in
            if cache.count > 10_000 { cache.removeAll() }
            cache[text] = Cached(caller: caller, until: .now + Self.keyCacheLifetime)
        }
        return caller
    }

    /// Whom the key was of lately; nil for the one who is to look it up.
    private func cached(_ text: String) -> Caller? {
        cache.withLock { cache in
            guard let hit = cache[text] else { return nil }
            let now = ContinuousClock.now
            if hit.until > now { return hit.caller }
            if hit.isRefreshed, hit.until + Self.refreshing > now { return hit.caller }
            cache[text]?.isRefreshed = true
            return nil
        }
    }
}

extension Substring {
    fileprivate func trimming(while predicate: (Character) -> Bool) -> Substring {
        var text = drop(while: predicate)
        while let last = text.last, predicate(last) { text.removeLast() }
        return text
    }
}
