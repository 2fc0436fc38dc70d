package import Models
package import Postgres
import Synchronization

/// What is still to be recorded of a request. A handler that commits on its caller's behalf may record it in the same
/// transaction, which spares the caller from waiting for a second one; what it leaves, the trail records after it.
package final class AuditDuty: Sendable {
    private let log: AuditLog
    private let draft: AuditEntry
    private let isDone = Mutex(false)

    init(_ log: AuditLog, _ draft: AuditEntry) { (self.log, self.draft) = (log, draft) }

    /// Whether it is on disk.
    var isFulfilled: Bool { isDone.withLock { $0 } }

    /// What a request showed of whom, and what is answered to it.
    package struct Deed: Sendable {
        let duty: AuditDuty
        let entry: AuditEntry

        package init(_ duty: AuditDuty, status: Int, subjects: [ProfileID]) {
            self.duty = duty
            var entry = duty.draft
            (entry.status, entry.subjects) = (status, subjects)
            self.entry = entry
        }
    }

    /// Appends what many requests did, as the last thing that the transaction locks. `fulfil` them once it is committed.
    package static func append(
        _ deeds: [Deed], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        for (log, deeds) in Dictionary(grouping: deeds, by: \.duty.log) {
            try await AuditStore(log).append(deeds.map(\.entry), at: now, in: transaction)
        }
    }

    package static func fulfil(_ deeds: [Deed]) {
        for deed in deeds { deed.duty.isDone.withLock { $0 = true } }
    }
}
