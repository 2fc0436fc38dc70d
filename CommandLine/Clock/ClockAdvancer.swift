import Models
import Postgres
import ServiceKit

/// Moves a rehearsal's clock over every deadline on the way, each fired at its own instant, with everything
/// that follows from it done before the next.
struct ClockAdvancer: Sendable {
    let pool: PostgresPool
    let observer: PlatformObserver
    /// Steps are rounded up to this; finer is truer, coarser is quicker.
    var granularity: Duration = .milliseconds(1)
    var patience: Duration = .seconds(120)

    init(pool: PostgresPool) async throws {
        self.pool = pool
        observer = try await PlatformObserver(pool: pool)
    }

    /// The rehearsal's time; refused where time is real.
    func now() async throws -> Instant {
        guard
            let row = try await pool.query(
                "SELECT c.now FROM platform.installation i JOIN platform.clock c ON true WHERE i.rehearsal"
            ).first
        else { throw ClockError.notARehearsal }
        return try row.get("now", as: Instant.self)
    }

    /// Moves the clock to `target` (or leaves it, when it is past that) and waits until everything is done;
    /// returns how many steps it took.
    @discardableResult
    func advance(
        to target: Instant, stepped: @Sendable (Instant) async throws -> Void = { _ in },
        waiting: @Sendable (PlatformLook) -> Void = { _ in }
    ) async throws -> Int {
        var present = try await now()
        var steps = 0
        while true {
            let look = try await observer.drained(patience: patience, waiting: waiting)
            guard present < target else { return steps }
            var next = target
            if let due = look.earliestDeadline { next = min(target, max(rounded(due), present)) }
            try await Installation.setClock(to: next, pool: pool)
            present = next
            steps += 1
            try await stepped(next)
        }
    }

    /// The next step at or after an instant.
    func rounded(_ instant: Instant) -> Instant {
        let unit = max(1, granularity.milliseconds)
        let rest = ((instant.milliseconds % unit) + unit) % unit
        return rest == 0 ? instant : Instant(milliseconds: instant.milliseconds + unit - rest)
    }
}
