import Models
import ServiceKit

/// The account of everything that was received, out of the database.
struct ReconciliationRoutes: Sendable {
    let store: ReconciliationStore
    let sources: SourceStore
    let clock: ServiceClock
    /// For how long message keys are remembered.
    let window: Duration

    func add(to router: ServiceRouter) {
        router.get("/v1/reconciliation", scope: .sourcesRead, touches: .definitions) { request in
            let from = try request.queryInstant("from") ?? .distantPast
            let to = try request.queryInstant("to") ?? .distantFuture
            guard from <= to else { throw Problem.badRequest("`from` must not be after `to`") }
            let source: SourceID? = try request.queryID("source")
            if let source, try await !sources.exists(source) { throw Problem.noSource }
            let remembered = try await clock.now() - window
            let lines = try await store.report(from: from, to: to, source: source, remembered: remembered)
            return .json([
                "from": .string(from.rfc3339), "to": .string(to.rfc3339), "items": .array(lines.map(\.json)),
                "balanced": .bool(lines.allSatisfy(\.isBalanced)),
            ])
        }
    }
}

extension ReconciliationStore.Line {
    fileprivate var isBalanced: Bool {
        received == accepted + duplicate + quarantined + refused && provable == stored && quarantined == held
    }

    fileprivate var json: JSON {
        [
            "sourceId": .string(source.description), "received": .integer(received),
            "accepted": .integer(accepted),
            "duplicate": .integer(duplicate), "quarantined": .integer(quarantined),
            "refused": .integer(refused), "provable": .integer(provable), "stored": .integer(stored),
            "held": .integer(held),
            "balanced": .bool(isBalanced),
        ]
    }
}
