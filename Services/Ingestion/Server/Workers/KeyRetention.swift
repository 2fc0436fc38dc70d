import Logging
import Models
import Postgres
import Sealing
import ServiceKit

/// Ends the time for which raw events and quarantined items are kept: it destroys the keys of the days that they were
/// sealed under. Rows stay, so that offsets have no gaps and the account stays true, and nobody can read them.
struct KeyRetention: Pruner {
    let vault: Vault
    let clock: ServiceClock
    /// Nil keeps for ever.
    let retention: Duration?
    let pool: PostgresPool
    let logger: Logger

    /// Shorter than this, what is on its way to other services could be lost.
    static let shortest: Duration = .days(7)

    /// Destroys the keys of days that are over for longer than that, and returns how many there were.
    func prune() async throws -> Int {
        guard let retention else { return 0 }
        let before = SealingDay(try await clock.now() - retention)
        let count = try await vault.days.destroy(before: before, in: pool)
        if count > 0 { logger.info("raw events are kept no longer", metadata: ["days": "\(count)"]) }
        return count
    }

    /// `MARTLET_INGESTION_RETENTION`.
    static func retention(_ settings: ServiceSettings) throws(SettingsError) -> Duration? {
        guard settings.string("INGESTION_RETENTION") != nil else { return nil }
        let retention = try settings.duration("INGESTION_RETENTION", default: .zero)
        guard retention >= shortest else {
            throw .invalid("MARTLET_INGESTION_RETENTION", expected: "a duration of 7d or more")
        }
        return retention
    }
}
