import IdentityDomain
import Models
import Testing

@Suite("What comes after an attempt at a webhook")
struct WebhookDecisionTests {
    private let event = WebhookEventID(UUIDv7.derived(at: start, from: "event"))

    @Test("a delivery is tried ten times over a little more than three days, each pause up to a fifth longer")
    func schedule() throws {
        var now = start
        var pauses: [Int64] = []
        for failed in 1...9 {
            let next = try #require(WebhookSchedule.next(after: failed, at: now, of: event))
            #expect(next == WebhookSchedule.next(after: failed, at: now, of: event))
            pauses.append((next - now).milliseconds / 1000)
            now = next
        }
        let documented: [Int64] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
        for (pause, base) in zip(pauses, documented) { #expect((base...base * 6 / 5).contains(pause)) }
        #expect(WebhookSchedule.next(after: 10, at: now, of: event) == nil)
        #expect(now - start >= .hours(75) && now - start <= .hours(91))
    }

    @Test("another event has other pauses, so an endpoint that comes back isn't met by all at once")
    func jitter() {
        let instants = (0..<50).compactMap { number in
            WebhookSchedule.next(
                after: 5, at: start, of: WebhookEventID(UUIDv7.derived(at: start, from: "\(number)")))
        }
        #expect(Set(instants).count > 25)
    }

    @Test("410 ends the delivery and disables the endpoint")
    func gone() {
        let verdict = WebhookDecision.after(
            .answered(status: 410, retryAfter: nil), attempt: 1, of: event, ordering: .endpoint,
            health: EndpointHealth(),
            now: start)
        #expect(verdict.delivery == .failed)
        #expect(verdict.disabling == .gone)
    }

    @Test(
        "Retry-After of 429 and 503 holds the whole endpoint, an hour at most; of other answers it is nothing",
        arguments: [
            (429, 60, 60), (503, 60, 60), (429, 90_000, 3600), (503, 0, 0), (500, 60, nil), (404, 60, nil),
        ] as [(Int, Int, Int?)])
    func retryAfter(_ status: Int, _ asked: Int, _ paused: Int?) {
        let verdict = WebhookDecision.after(
            .answered(status: status, retryAfter: .seconds(asked)), attempt: 1, of: event,
            ordering: .endpoint,
            health: EndpointHealth(),
            now: start)
        #expect(verdict.health.pausedUntil == paused.map { start + .seconds($0) })
        if case .waiting(let until) = verdict.delivery {
            #expect(until >= start + .seconds(max(5, paused ?? 0)))
        } else {
            Issue.record("it waits")
        }
    }

    @Test(
        "Retry-After is seconds or a date, and anything else is nothing",
        arguments: [
            ("120", 120), ("0", 0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
            ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
            ("-1", nil), ("1.5", nil), ("", nil), ("soon", nil), ("99999999999999999999", nil),
            ("Tue, 14 Foo 2023 22:14:20 GMT", nil), ("Tue, 99 Nov 2023 22:14:20 GMT", nil),
        ] as [(String, Int?)])
    func retryAfterText(_ text: String, _ seconds: Int?) {
        #expect(RetryAfter.wait(text, now: start) == seconds.map { .seconds($0) })
    }

    @Test("a test is tried once and says nothing of the endpoint")
    func test() {
        let health = EndpointHealth(failures: 7, failingSince: start - .hours(200))
        let failed = WebhookDecision.after(
            .answered(status: 410, retryAfter: nil), attempt: 1, of: event, isTest: true, ordering: .endpoint,
            health: health,
            now: start)
        #expect(failed == WebhookVerdict(delivery: .failed, health: health))
        let fine = WebhookDecision.after(
            .answered(status: 200, retryAfter: nil), attempt: 1, of: event, isTest: true, ordering: .endpoint,
            health: health,
            now: start)
        #expect(fine == WebhookVerdict(delivery: .delivered, health: health))
    }

    @Test("the state of an endpoint is what brute force finds in the list of all its attempts")
    func oracle() {
        var generator = seededGenerator()
        for _ in 0..<300 {
            var history: [PastAttempt] = []
            var health = EndpointHealth()
            var now = start
            for _ in 0..<40 {
                now = now + .seconds(Int.random(in: 0...40_000, using: &generator))
                let past = PastAttempt.random(at: now, using: &generator)
                history.append(past)
                let verdict = WebhookDecision.after(
                    past.outcome, attempt: past.attempt, of: past.event, ordering: past.ordering,
                    health: health,
                    now: now)
                #expect(verdict.health == BruteForceEndpoint.health(after: history))
                #expect(verdict.disabling == BruteForceEndpoint.disabling(after: history))
                expect(verdict.delivery, after: past)
                health = verdict.health
            }
        }
    }

    private func expect(_ delivery: WebhookVerdict.Delivery, after past: PastAttempt) {
        let isRefused = [400, 413, 422].contains(past.status)
        let isLast =
            past.attempt >= 10 || past.status == 410
            || past.ordering == .endpoint && isRefused && past.attempt > 3
        switch delivery {
        case .delivered: #expect(past.isSuccess)
        case .failed: #expect(!past.isSuccess && isLast)
        case .waiting(let until):
            let base = BruteForceEndpoint.schedule[past.attempt - 1]
            #expect(!past.isSuccess && !isLast)
            #expect(until >= past.at + .seconds(max(base, BruteForceEndpoint.asked(past) ?? 0)))
            #expect(until <= past.at + .seconds(max(base * 6 / 5, BruteForceEndpoint.asked(past) ?? 0)))
        }
    }
}

/// An attempt of a random history.
struct PastAttempt {
    var at: Instant
    var attempt: Int
    /// Nil for no answer.
    var status: Int?
    var retryAfter: Int?
    var event: WebhookEventID
    var ordering: WebhookOrdering

    var isSuccess: Bool { status.map { $0 / 100 == 2 } ?? false }

    var outcome: WebhookOutcome {
        status.map { .answered(status: $0, retryAfter: retryAfter.map { .seconds($0) }) }
            ?? .unanswered("timeout")
    }

    static func random(at instant: Instant, using generator: inout SeededGenerator) -> PastAttempt {
        let statuses: [Int?] = [200, 204, 301, 400, 404, 413, 422, 429, 429, 500, 503, 503, nil, nil]
        let isGone = Int.random(in: 0..<100, using: &generator) == 0
        return PastAttempt(
            at: instant, attempt: Int.random(in: 1...10, using: &generator),
            status: isGone ? 410 : statuses[Int.random(in: 0..<statuses.count, using: &generator)],
            retryAfter: Bool.random(using: &generator) ? Int.random(in: 0...9000, using: &generator) : nil,
            event: WebhookEventID(UUIDv7.derived(at: instant, from: "e")),
            ordering: Bool.random(using: &generator) ? .endpoint : .profile)
    }
}

/// What an endpoint's state is, from all its attempts and nothing else.
enum BruteForceEndpoint {
    static let schedule = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    static func asked(_ past: PastAttempt) -> Int? {
        [429, 503].contains(past.status) ? past.retryAfter.map { min($0, 3600) } : nil
    }

    static func health(after history: [PastAttempt]) -> EndpointHealth {
        let row = row(history)
        var pauses: [Instant] = []
        for count in 1...history.count {
            let failures = self.row(Array(history.prefix(count))).count
            let past = history[count - 1]
            guard !past.isSuccess else { continue }
            var seconds = asked(past)
            if failures >= 5 {
                var growing = 10
                for _ in 5..<failures { growing = min(300, growing * 2) }
                seconds = max(seconds ?? 0, growing)
            }
            if let seconds { pauses.append(past.at + .seconds(seconds)) }
        }
        return EndpointHealth(failures: row.count, failingSince: row.first?.at, pausedUntil: pauses.max())
    }

    static func disabling(after history: [PastAttempt]) -> EndpointDisabling? {
        guard let last = history.last, !last.isSuccess else { return nil }
        if last.status == 410 { return .gone }
        return row(history).first.map { last.at - $0.at >= .hours(120) } == true ? .failing : nil
    }

    /// The failures since the last success.
    private static func row(_ history: [PastAttempt]) -> [PastAttempt] {
        Array(history.reversed().prefix { !$0.isSuccess }.reversed())
    }
}
