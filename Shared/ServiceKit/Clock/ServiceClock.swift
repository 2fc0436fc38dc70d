import Foundation
package import Models
package import Postgres

/// The one place where time enters a process.
///
/// In an installation created as a rehearsal the time is a row in PostgreSQL that `martlet clock advance` moves
/// for all processes at once; elsewhere it is the machine's own.
package struct ServiceClock: Sendable {
    /// False for a rehearsal's clock, which stands still until it is moved.
    package let advancesByItself: Bool
    /// Tells the time without asking anybody; nil where that is not possible.
    package let immediate: (@Sendable () -> Instant)?
    private let read: @Sendable () async throws -> Instant

    /// A clock that has to be asked for.
    package init(advancesByItself: Bool, read: @escaping @Sendable () async throws -> Instant) {
        self.advancesByItself = advancesByItself
        self.read = read
        immediate = nil
    }

    /// A clock at hand.
    package init(advancesByItself: Bool, immediate: @escaping @Sendable () -> Instant) {
        self.advancesByItself = advancesByItself
        self.immediate = immediate
        read = { immediate() }
    }

    /// The installation's time.
    package func now() async throws -> Instant { try await read() }

    /// The machine's clock.
    package static let system = ServiceClock(advancesByItself: true, immediate: { .fromSystemClock() })

    /// The clock of the installation behind the pool: PostgreSQL's row in a rehearsal, else the machine's.
    package static func ofInstallation(_ pool: PostgresPool) async throws -> ServiceClock {
        let rows = try await pool.query("SELECT rehearsal FROM platform.installation")
        guard try rows.first?.get("rehearsal", as: Bool.self) == true else { return .system }
        return rehearsal(pool)
    }

    /// The rehearsal clock kept in `platform.clock`.
    package static func rehearsal(_ pool: PostgresPool) -> ServiceClock {
        ServiceClock(advancesByItself: false) {
            guard let row = try await pool.query("SELECT now FROM platform.clock").first else {
                throw ClockError.rehearsalClockMissing
            }
            return try row.get("now", as: Instant.self)
        }
    }
}

/// Why the time cannot be told or moved.
package enum ClockError: Error, Sendable, CustomStringConvertible {
    case rehearsalClockMissing
    case notARehearsal
    case backwards(from: Instant, to: Instant)

    package var description: String {
        switch self {
        case .rehearsalClockMissing:
            "this installation is a rehearsal but platform.clock is empty; run `martlet doctor`"
        case .notARehearsal:
            "only an installation created as a rehearsal has a clock that can be moved; create one with `martlet up --rehearsal`"
        case .backwards(let from, let to):
            "the clock stands at \(from.rfc3339) and cannot be set back to \(to.rfc3339)"
        }
    }
}

extension Instant {
    /// The machine's wall clock; for ``ServiceClock`` and for the expiry of tokens alone.
    package static func fromSystemClock() -> Instant {
        Instant(milliseconds: Int64((Date().timeIntervalSince1970 * 1_000).rounded(.down)))
    }
}
