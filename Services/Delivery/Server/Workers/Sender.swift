import DeliveryDomain
import Logging
import Metrics
import Models
import Postgres
import ServiceKit
import ServiceLifecycle
import Streams

/// Takes messages from the queue, has them decided, and hands the mails over.
///
/// A message is recorded as `sending` before the server hears of it, and as delivered after the server has said
/// so. Whoever dies in between leaves a lease behind; when it runs out the message is sent again, with the same
/// Message-ID. Within that window delivery is at least once, everywhere else exactly once.
final class Sender: Service {
    /// Mails between their commit and their outcome, at most.
    private static let inFlightLimit = 32

    private let batch: SendBatch
    private let transport: any MailTransport
    private let outcomes: OutcomeWriter
    private let context: ServiceContext
    private let room = Room(inFlightLimit)

    init(batch: SendBatch, transport: any MailTransport, outcomes: OutcomeWriter, context: ServiceContext) {
        (self.batch, self.transport, self.outcomes, self.context) = (batch, transport, outcomes, context)
    }

    /// On shutdown it takes nothing more, but waits for the mails under way.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            var recovery = ContinuousClock.now
            while !Task.isShuttingDownGracefully, !Task.isCancelled {
                let ticket = await context.hub.ticket([QueueStore.channel])
                do {
                    if ContinuousClock.now >= recovery {
                        try await batch.queue.requeueAbandoned(context.pool)
                        try await batch.queue.requeueHeld(context.pool)
                        recovery = .now + .seconds(5)
                    }
                    let result = try await batch.decide(await room.wait())
                    if result.held > 0 { recovery = min(recovery, .now + SendBatch.recheck) }
                    if result.taken == 0 {
                        let hub = context.hub
                        let left = recovery - ContinuousClock.now
                        await cancelWhenGracefulShutdown { await hub.wait(ticket, upTo: left) }
                        continue
                    }
                    await room.enter(result.prepared.count)
                    for prepared in result.prepared {
                        group.addTask {
                            await self.deliver(prepared)
                            await self.room.leave()
                        }
                    }
                } catch {
                    context.logger.warning(
                        "sending is not moving; trying again", metadata: ["error": "\(error)"])
                    try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
                }
            }
        }
    }

    private func deliver(_ prepared: SendBatch.Prepared) async {
        let start = ContinuousClock.now
        let outcome = await transport.send(prepared.mail)
        let took = ContinuousClock.now - start
        Metrics.Timer(label: "martlet_delivery_handover_seconds").recordMilliseconds(took.milliseconds)
        let message = prepared.sending.message
        let now = (try? await context.clock.now()) ?? prepared.mail.mime.date
        let verdict = AttemptVerdict.of(
            outcome, attempt: prepared.mail.attempt - message.priorAttempts, message: message.id, now: now)
        let record = QueueStore.Outcome(
            message: message, attempt: prepared.mail.attempt, verdict: verdict, detail: outcome.detail,
            subject: prepared.sending.subject, addressHash: prepared.sending.addressHash, at: now)
        Counter(label: "martlet_delivery_attempts_total", dimensions: [("outcome", record.name)]).increment()
        await outcomes.record(record)
        if let files = transport as? FileTransport,
            (try? await batch.queue.exists(message, in: context.pool)) == false
        {
            // Erased while its mail was being written.
            _ = await files.remove(message.id)
        }
    }
}

/// How many mails are under way; whoever wants to add some waits until there is room.
private actor Room {
    private let limit: Int
    private var count = 0
    private var waiting: CheckedContinuation<Void, Never>?

    init(_ limit: Int) { self.limit = limit }

    /// The room there is: at least one place. One caller at a time.
    func wait() async -> Int {
        if count >= limit { await withCheckedContinuation { waiting = $0 } }
        return limit - count
    }

    func enter(_ number: Int) { count += number }

    func leave() {
        count -= 1
        waiting?.resume()
        waiting = nil
    }
}
