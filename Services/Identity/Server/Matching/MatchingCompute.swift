import Dispatch
import IdentityDomain

/// Where matching computes: on threads of its own, never on those that answer requests.
enum MatchingCompute {
    static let workers = MatchWorkers { count, body in
        DispatchQueue.concurrentPerform(iterations: count, execute: body)
    }

    /// Runs what takes long and uses all processors.
    static func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { continuation.resume(returning: body()) }
        }
    }
}
