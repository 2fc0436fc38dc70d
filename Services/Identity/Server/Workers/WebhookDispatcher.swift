import IdentityDomain
import Logging
import Metrics
import Models
import Postgres
import ServiceKit
import ServiceLifecycle
import Streams

/// Delivers what is queued for endpoints.
///
/// Everything goes by the machine's clock, also in a rehearsal: a receiver that is away is away in real time. A claim is
/// a lease, so an event is delivered at least once, with the same id, whatever is killed. Attempts at an endpoint are
/// bounded, and so are those of an instance: of 256, a dead endpoint holds one, or by profile 16 at most and after five
/// failures one.
final class WebhookDispatcher: Service {
    /// Attempts of this instance at the same time.
    private static let inFlightLimit = 256
    /// How long attempts may end before the next claim, which costs the same for one delivery as for many.
    private static let gathering: Duration = .milliseconds(10)
    /// After how long the leases of a line are renewed; what is left of one is longer than an attempt may take.
    private static let renewal: Duration = .seconds(5)
    /// How long deliveries are kept.
    static let retention: Duration = .hours(30 * 24)

    private let pool: PostgresPool
    private let hub: WakeHub
    private let sender: WebhookSender
    private let outbox: Outbox
    private let gate: DestinationGate
    private let logger: Logger
    private let machine: @Sendable () -> Instant
    private let deliveries = DeliveryStore()
    private let endpoints = EndpointStore()
    private let room = AttemptRoom(inFlightLimit)

    init(
        pool: PostgresPool, hub: WakeHub, sender: WebhookSender, gate: DestinationGate, outbox: Outbox,
        logger: Logger
    ) {
        self.gate = gate
        self.outbox = outbox
        self.pool = pool
        self.hub = hub
        self.sender = sender
        self.logger = logger
        machine = sender.machine
    }

    /// On shutdown it takes nothing more, but waits for the attempts under way.
    func run() async throws {
        await withDiscardingTaskGroup { group in
            var cleaning = ContinuousClock.now
            while !Task.isShuttingDownGracefully, !Task.isCancelled {
                let ticket = await hub.ticket([WebhookQueue.channel])
                do {
                    if ContinuousClock.now >= cleaning {
                        let gone = try await deliveries.deleteOld(
                            before: machine() - Self.retention, in: pool)
                        tell(ofExpired: gone.pending)
                        cleaning = .now + (gone.all > 0 ? .seconds(1) : .seconds(3600))
                    }
                    let claimed = try await claim(await room.wait())
                    if claimed.isEmpty {
                        let pause = try await pause()
                        let hub = hub
                        await cancelWhenGracefulShutdown { await hub.wait(ticket, upTo: pause) }
                        continue
                    }
                    let lines = Self.lines(claimed)
                    await room.enter(lines.count)
                    for line in lines {
                        group.addTask {
                            await self.deliver(line)
                            await self.room.leave()
                            await self.hub.signal(WebhookQueue.channel)
                        }
                    }
                    try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.gathering) }
                } catch {
                    logger.warning("webhooks are not moving; trying again", metadata: ["error": "\(error)"])
                    try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
                }
            }
        }
    }

    /// Makes one attempt at everything that is due, until nothing is, and returns how many were made; for tests that
    /// step by hand.
    @discardableResult
    func deliverDue() async throws -> Int {
        var total = 0
        while true {
            let claimed = try await claim(Self.inFlightLimit)
            if claimed.isEmpty { return total }
            total += await withTaskGroup { group in
                for line in Self.lines(claimed) { group.addTask { await self.deliver(line) } }
                return await group.reduce(0, +)
            }
        }
    }

    private func tell(ofExpired count: Int) {
        guard count > 0 else { return }
        Counter(label: "martlet_webhook_expired_total").increment(by: count)
        logger.warning(
            "webhooks were dropped that had waited for 30 days: an endpoint is disabled, or takes less than there is",
            metadata: ["deliveries": "\(count)"])
    }

    private func claim(_ limit: Int) async throws -> [ClaimedDelivery] {
        let now = machine()
        return try await pool.transaction { try await deliveries.claim(limit, at: now, in: $0) }
    }

    /// What is due and wasn't claimed waits for something under way, here or at another instance.
    private func pause() async throws -> Duration {
        let next = try await deliveries.untilNext(from: machine(), in: pool) ?? .seconds(30)
        return next <= .zero ? .seconds(1) : min(next, .seconds(30))
    }

    /// What is made one after the other: the line of an endpoint, and else each delivery by itself.
    private static func lines(_ claimed: [ClaimedDelivery]) -> [[ClaimedDelivery]] {
        let inLine = claimed.filter { $0.ordering == .endpoint && $0.type != .test }
        let lines = Dictionary(grouping: inLine, by: \.endpointID).values
        return lines.map { $0.sorted { $0.sequence < $1.sequence } }
            + claimed.filter { $0.ordering == .profile || $0.type == .test }.map { [$0] }
    }

    /// Makes attempts in their order until one fails, and gives the rest back; returns how many were made.
    @discardableResult
    private func deliver(_ line: [ClaimedDelivery]) async -> Int {
        var renewed = ContinuousClock.now
        for (place, delivery) in line.enumerated() {
            let rest = line.dropFirst(place + 1)
            do {
                var delivery = delivery
                if place > 0 {
                    // What was claimed a while ago may be erased or given up by now.
                    let left = line.dropFirst(place)
                    if ContinuousClock.now - renewed > Self.renewal {
                        try await deliveries.renew(left, in: pool)
                        renewed = .now
                    }
                    guard !Task.isShuttingDownGracefully,
                        let again = try await deliveries.seenAgain(delivery, in: pool)
                    else {
                        try await deliveries.release(left, in: pool)
                        return place
                    }
                    delivery = again
                }
                var traits = WebhookSender.ReadTraits.none
                switch try await gate.ask(delivery, at: machine()) {
                case .permitted(let held, let read): (delivery, traits) = (held, read)
                case .withheld:
                    Self.count("withheld")
                    continue
                case .lost:
                    try await deliveries.release(rest, in: pool)
                    return place
                case nil: break
                }
                let attempt = try await sender.send(delivery, with: traits)
                let mayGoOn = try await pool.transaction { transaction in
                    let isDone = try await record(attempt, in: transaction)
                    if !isDone { try await deliveries.release(rest, in: transaction) }
                    return isDone
                }
                if !mayGoOn { return place + 1 }
            } catch {
                // Its lease runs out, and it is made again; what is behind it was not attempted.
                try? await deliveries.release(rest, in: pool)
                logger.warning(
                    "an attempt at a webhook is not recorded; it will be made again",
                    metadata: ["endpoint": "\(delivery.endpointID)", "error": "\(error)"])
                return place + 1
            }
        }
        return line.count
    }

    /// Returns whether what is next in line may follow: the delivery waits no longer, and the endpoint is open.
    private func record(_ attempt: FinishedAttempt, in transaction: PostgresTransaction) async throws -> Bool
    {
        let delivery = attempt.delivery
        guard var endpoint = try await endpoints.lock(delivery.endpointID, in: transaction) else {
            return false
        }
        let verdict = WebhookDecision.after(
            attempt.outcome, attempt: delivery.made + 1, of: delivery.eventID,
            isTest: delivery.type == .test, ordering: delivery.ordering, health: endpoint.health,
            now: attempt.at)
        guard try await deliveries.record(attempt, verdict.delivery, in: transaction) else { return false }
        count(verdict.delivery)
        try await tellConsent(of: attempt, verdict.delivery, in: transaction)
        let before = endpoint.health
        let lastSuccessAt = endpoint.lastSuccessAt
        endpoint.health = verdict.health
        if attempt.outcome.isSuccess { endpoint.lastSuccessAt = attempt.at }
        if let disabling = verdict.disabling, endpoint.isEnabled {
            endpoint.disable(disabling, at: attempt.at)
            logger.warning(
                "a webhook endpoint is disabled",
                metadata: ["endpoint": "\(endpoint.id)", "reason": "\(disabling.rawValue)"])
        }
        // The success of a healthy endpoint is no news; when the last one was is told to the minute.
        let isFresh = lastSuccessAt.map { attempt.at - $0 < .minutes(1) } ?? false
        let isNews = before != endpoint.health || verdict.disabling != nil
        if isNews || attempt.outcome.isSuccess && !isFresh {
            try await endpoints.update(endpoint, in: transaction)
        }
        // Of an endpoint that was changed, what follows is claimed anew.
        return attempt.outcome.isSuccess && endpoint.isEnabled
            && endpoint.version == delivery.endpointVersion
    }

    /// Whoever has erased somebody has to know who else has heard of it (GDPR article 19).
    private func tellConsent(
        of attempt: FinishedAttempt, _ verdict: WebhookVerdict.Delivery, in transaction: PostgresTransaction
    ) async throws {
        let delivery = attempt.delivery
        guard delivery.type == .erased, let request = delivery.details["requestId"]?.string else { return }
        let status: String
        switch verdict {
        case .delivered: status = "answered"
        case .failed: status = "failed"
        case .waiting: return
        }
        try await outbox.enqueue(
            target: .consent, method: "PUT",
            path: "/v1/privacy-requests/\(request)/recipients/\(delivery.eventID)",
            body: [
                "endpointId": .string(delivery.endpointID.description),
                "profileId": delivery.profileID.map { .string($0.description) } ?? .null,
                "status": .string(status), "at": .string(attempt.at.rfc3339),
            ], in: transaction, at: attempt.at)
    }

    private func count(_ delivery: WebhookVerdict.Delivery) {
        let outcome =
            switch delivery {
            case .delivered: "delivered"
            case .waiting: "retry"
            case .failed: "failed"
            }
        Self.count(outcome)
    }

    private static func count(_ outcome: String) {
        Counter(label: "martlet_webhook_attempts_total", dimensions: [("outcome", outcome)]).increment()
    }
}

/// How many attempts are under way, of each line one; whoever wants to add some waits until there is room.
private actor AttemptRoom {
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
