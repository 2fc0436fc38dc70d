import DeliveryDomain
import Logging
import Models
import Postgres
import ServiceKit
import Streams

/// Commits the ends of attempts, many at a time: those that come while a commit is under way share the next one.
actor OutcomeWriter {
    private let pool: PostgresPool
    private let queue: QueueStore
    private let suppressions: SuppressionStore
    private let corrections: CorrectionStore
    private let events: OutcomeEvents
    private let logger: Logger
    private var pending: [QueueStore.Outcome] = []
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var isCommitting = false

    init(
        pool: PostgresPool, corrections: CorrectionStore, suppressions: SuppressionStore, logger: Logger
    ) {
        (self.pool, self.queue, self.suppressions) = (pool, corrections.queue, suppressions)
        (self.corrections, self.events, self.logger) = (corrections, corrections.events, logger)
    }

    /// Returns when the outcome is committed, however long PostgreSQL is away; on cancellation it gives up, and
    /// the message is tried again when its lease has run out.
    func record(_ outcome: QueueStore.Outcome) async {
        pending.append(outcome)
        if isCommitting {
            await withCheckedContinuation { waiting.append($0) }
            return
        }
        isCommitting = true
        while !pending.isEmpty {
            let (batch, done) = (pending, waiting)
            (pending, waiting) = ([], [])
            await commit(batch)
            for continuation in done { continuation.resume() }
        }
        isCommitting = false
        // Whoever came between the last commit and here is in `pending` of nobody: there is no suspension.
    }

    private func commit(_ batch: [QueueStore.Outcome]) async {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            do {
                try await pool.transaction { try await self.write(batch, in: $0) }
                return
            } catch {
                logger.warning("outcomes can't be recorded; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(2))
            }
        }
    }

    private func write(_ batch: [QueueStore.Outcome], in transaction: PostgresTransaction) async throws {
        let settled = try await queue.record(batch, in: transaction)
        let open = batch.filter { settled.contains($0.message.id) }
        var later: [(shard: Shard, id: MessageID, until: Instant)] = []
        var dead: [(key: AddressKey, suppression: Suppression, messageID: MessageID?)] = []
        for outcome in open {
            switch outcome.verdict {
            case .retry(let instant): later.append((outcome.message.shard, outcome.message.id, instant))
            case .bounced(isAddressDead: true):
                dead.append(
                    (
                        AddressKey(hash: outcome.addressHash),
                        Suppression(purpose: nil, reason: .bounced, at: outcome.at), outcome.message.id
                    ))
            default: break
            }
        }
        if !later.isEmpty {
            try await queue.markWaiting(later, in: transaction)
            try await DeadlineSweeper.notify(schema: "delivery", in: transaction)
            try await corrections.settle(
                attempted: later.map { ($0.shard, $0.id) }, at: open.map(\.at).max() ?? .distantPast,
                in: transaction)
        }
        try await suppressions.add(dead, in: transaction)
        try await events.enqueue(
            open.compactMap(Self.event), at: open.map(\.at).max() ?? .distantPast, in: transaction)
    }

    private static func event(_ outcome: QueueStore.Outcome) -> JSON? {
        switch outcome.verdict {
        case .delivered:
            OutcomeEvents.event(
                "Email Delivered", of: outcome.message, key: "delivered", subject: outcome.subject,
                at: outcome.at)
        case .bounced:
            OutcomeEvents.event(
                "Email Bounced", of: outcome.message, key: "bounced", subject: outcome.subject,
                at: outcome.at,
                ["reason": .string(outcome.detail)])
        case .failed:
            OutcomeEvents.event(
                "Email Not Sent", of: outcome.message, key: "not-sent", subject: outcome.subject,
                at: outcome.at,
                ["reason": .string(NonSendReason.attemptsExhausted.rawValue)])
        case .retry: nil
        }
    }
}
