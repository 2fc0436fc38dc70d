package import Models
package import ServiceKit
import Synchronization

/// A clock that stands where a test puts it.
package final class SimulatedClock: Sendable {
    private let current: Mutex<Instant>

    package init(_ start: Instant) { current = Mutex(start) }

    /// The time as the test has set it.
    package var now: Instant { current.withLock { $0 } }

    package func set(_ instant: Instant) { current.withLock { $0 = instant } }

    package func advance(by duration: Duration) { current.withLock { $0 = $0 + duration } }

    /// The same as services take it.
    package var serviceClock: ServiceClock {
        ServiceClock(advancesByItself: false, immediate: { self.now })
    }
}
