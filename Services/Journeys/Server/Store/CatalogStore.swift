import ConsentDomain
package import JourneysDomain
package import Logging
import Models
package import Postgres
import ProfileStore
import Synchronization

/// Reads the journeys that there are. Texts are checked once per version; what is asked of the database in
/// each transaction is only which versions count.
package final class CatalogStore: Sendable {
    private struct Version: Hashable {
        var journey: String
        var version: Int
    }

    /// Deciding transactions hold this lock shared, changes of definitions alone: so all that is decided in one
    /// transaction is decided by the same definitions, and nobody enters a journey that is being deleted.
    private static let lockName = "martlet.journeys.catalog"

    /// How old the consent policy may be.
    private static let policyAge = Duration.seconds(1)

    private let policies: ConsentPolicyReader<ConsentPolicy>
    private let logger: Logger
    private let known = Mutex<[Version: JourneyDefinition]>([:])

    package init(logger: Logger) {
        policies = ConsentPolicyReader { try ConsentPolicy(json: $0) }
        self.logger = logger
    }

    /// Keeps definitions from changing until the transaction ends.
    package static func lockAlone(in transaction: PostgresTransaction) async throws {
        _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtextextended(\(lockName), 0))")
    }

    /// The journeys as they stay until the transaction ends.
    package func current(in transaction: PostgresTransaction) async throws -> JourneyCatalog {
        _ = try await transaction.query(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(\(Self.lockName), 0))")
        return try await catalog(in: transaction)
    }

    /// The journeys, for somebody who holds the lock already.
    package func catalog(in transaction: PostgresTransaction) async throws -> JourneyCatalog {
        let replies = try await transaction.pipeline([
            "SELECT journey_id, version, status FROM journeys.journey WHERE deleted_at IS NULL ORDER BY journey_id",
            """
            SELECT d.journey_id, d.version FROM journeys.definition d
            WHERE EXISTS (SELECT FROM journeys.instance i
                          WHERE i.journey_id = d.journey_id AND i.version = d.version AND i.ended_at IS NULL)
            """,
        ])
        let current = try replies[0].map { row in
            (try Self.version(row), JourneyStatus(rawValue: try row.get("status", as: String.self)) ?? .draft)
        }
        let used = try replies[1].map { try Self.version($0) }
        let definitions = try await definitions(current.map(\.0) + used, in: transaction)
        var catalog = JourneyCatalog(
            current: current.compactMap { version, status in
                definitions[version].map { JourneyCatalog.Entry(definition: $0, status: status) }
            },
            older: used.compactMap { definitions[$0] })
        if let found = try await policies.recentIfAny(Self.policyAge, in: transaction) {
            catalog.consent = JourneyConsent(found.policy, version: found.version)
        }
        return catalog
    }

    private func definitions(
        _ wanted: [Version], in transaction: PostgresTransaction
    ) async throws -> [Version: JourneyDefinition] {
        let missing = known.withLock { known in Set(wanted).filter { known[$0] == nil } }
        if !missing.isEmpty {
            let rows = try await transaction.query(
                """
                SELECT d.journey_id, d.version, d.document FROM journeys.definition d
                JOIN unnest(\(missing.map(\.journey))::text[], \(missing.map(\.version))::integer[])
                     AS w (journey_id, version) USING (journey_id, version)
                """)
            for row in rows {
                let version = try Self.version(row)
                if let definition = read(version, try row.get("document", as: JSON.self)) {
                    known.withLock { $0[version] = definition }
                }
            }
        }
        return known.withLock { $0 }
    }

    private func read(_ version: Version, _ document: JSON) -> JourneyDefinition? {
        do {
            return try JourneyDocument.read(
                DefinitionNode(document), id: version.journey, version: version.version
            ).definition
        } catch {
            // It was checked before it was stored, so this is a version of the service that knows less.
            logger.error(
                "stored journey cannot be read",
                metadata: [
                    "journey": "\(version.journey)", "version": "\(version.version)",
                    "error": "\(error.mistakes.first?.described(in: version.journey) ?? "")",
                ])
            return nil
        }
    }

    private static func version(_ row: PostgresRow) throws -> Version {
        Version(
            journey: try row.get("journey_id", as: String.self), version: try row.get("version", as: Int.self)
        )
    }
}
