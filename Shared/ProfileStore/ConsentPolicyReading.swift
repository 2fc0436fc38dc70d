package import Models
package import Postgres
import Synchronization

/// Reads the consent policy in force. Each version is read and understood once; whoever asks is told that of their own
/// transaction. How a policy is read is consent's Domain's matter, and handed in.
package final class ConsentPolicyReader<Policy: Sendable>: Sendable {
    package struct Current: Sendable {
        package let version: Int64
        package let policy: Policy
    }

    private struct Cached {
        let current: Current
        let at: ContinuousClock.Instant
    }

    /// Whether there is a consent service: its table may come later, and is there for ever then.
    private let hasTable = Mutex(false)
    private let parse: @Sendable (JSON) throws -> Policy
    private let cached: Mutex<Cached?> = Mutex(nil)

    package init(_ parse: @escaping @Sendable (JSON) throws -> Policy) { self.parse = parse }

    /// The policy in force for this transaction. Throws `PostgresError` where there is none, or where it can't be understood
    /// by this version of the service: what is unknown must not be taken for permitted.
    package func current(in session: some PostgresSession) async throws -> Current {
        let reading = reading()
        return try current(of: reading, await session.query(reading.statement))
    }

    /// A statement that reads the version in force, and its text where it is not known yet; for a caller that sends it
    /// together with others.
    package struct Reading: Sendable {
        package let statement: SQL
        fileprivate let known: Current?
    }

    package func reading() -> Reading {
        let known = cached.withLock { $0?.current }
        return Reading(
            statement: """
                SELECT version, CASE WHEN version = \(known?.version ?? 0) THEN NULL ELSE body END AS body
                FROM profiles.consent_policy ORDER BY version DESC LIMIT 1
                """,
            known: known)
    }

    /// The policy in the rows of that statement.
    package func current(of reading: Reading, _ rows: [PostgresRow]) throws -> Current {
        guard let row = rows.first else {
            throw PostgresError.decoding(column: "consent_policy", message: "is empty")
        }
        var current = reading.known
        if let body = try row.get("body", as: String?.self) {
            current = Current(
                version: try row.get("version"), policy: try parse(try JSONParser.parse(body)))
        }
        guard let current else {
            throw PostgresError.decoding(column: "body", message: "is missing")
        }
        cached.withLock { $0 = Cached(current: current, at: .now) }
        return current
    }

    /// The policy as it was at most `age` ago; nil in an installation without a consent service.
    package func recentIfAny(_ age: Duration, in session: some PostgresSession) async throws -> Current? {
        if !hasTable.withLock({ $0 }) {
            let found = try await session.query(
                "SELECT to_regclass('profiles.consent_policy') IS NOT NULL AS found")
            guard try found.first?.get("found", as: Bool.self) ?? false else { return nil }
            hasTable.withLock { $0 = true }
        }
        return try await recent(age, in: session)
    }

    /// The policy that was read last.
    package var known: Current? { cached.withLock { $0?.current } }

    /// The policy as it was at most `age` ago, by the machine's clock.
    package func recent(_ age: Duration, in session: some PostgresSession) async throws -> Current {
        if let known = cached.withLock({ $0 }), ContinuousClock.now - known.at < age { return known.current }
        return try await current(in: session)
    }
}
