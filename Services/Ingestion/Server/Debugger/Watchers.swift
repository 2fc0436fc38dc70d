import Models
import ServiceKit
import Synchronization

/// How many may watch an instance at once.
final class Watchers: Sendable {
    /// A place that is taken; it is free again when nobody holds it any more.
    final class Place: Sendable {
        private let watchers: Watchers

        fileprivate init(_ watchers: Watchers) {
            self.watchers = watchers
        }

        deinit { watchers.count.withLock { $0 -= 1 } }
    }

    private let limit: Int
    private let count = Mutex(0)

    init(limit: Int) {
        self.limit = limit
    }

    /// Throws 429 when all places are taken.
    func take() throws(Problem) -> Place {
        let isFree = count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard isFree else {
            throw .tooManyRequests(
                retryAfterSeconds: 10, "at most \(limit) debuggers at once; close one, or try again")
        }
        return Place(self)
    }
}
