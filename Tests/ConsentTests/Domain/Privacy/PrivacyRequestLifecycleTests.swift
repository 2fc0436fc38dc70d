import ConsentDomain
import Models
import Testing

@Suite("The life of a privacy request")
struct PrivacyRequestLifecycleTests {
    private typealias Lifecycle = PrivacyRequestLifecycle
    private static let start = Instant(milliseconds: 1_700_000_000_000)

    @Test("what waits for verification goes on once it is known who asks, and ends once")
    func verified() throws {
        var life = Lifecycle(kind: .access, regime: .gdpr, receivedAt: Self.start)
        try life.take(.begin(needsVerification: true), at: Self.start)
        #expect(life.state == .verifying)
        #expect(throws: Lifecycle.Refusal.notVerified) { try life.take(.complete, at: Self.start) }
        try life.take(.verify, at: Self.start + .hours(1))
        #expect(life.verifiedAt == Self.start + .hours(1))
        #expect(!life.mayDisclose)
        try life.take(.complete, at: Self.start + .hours(2))
        #expect(life.mayDisclose)
        #expect(throws: Lifecycle.Refusal.ended) { try life.take(.cancel(reason: nil), at: Self.start) }
    }

    @Test("an erasure that is under way can't be stopped, and one that waits for verification can")
    func erasure() throws {
        var waiting = Lifecycle(kind: .erasure, regime: .gdpr, receivedAt: Self.start)
        try waiting.take(.begin(needsVerification: true), at: Self.start)
        var begun = waiting
        try begun.take(.verify, at: Self.start)
        #expect(throws: Lifecycle.Refusal.underWay) { try begun.take(.refuse(reason: "x"), at: Self.start) }
        try waiting.take(.refuse(reason: "unfounded"), at: Self.start)
        #expect(waiting.state == .refused)
        #expect(waiting.reason == "unfounded")
    }

    @Test("it is extended once, before it is due, and the person was told first")
    func extended() throws {
        var life = Lifecycle(kind: .access, regime: .gdpr, receivedAt: Self.start)
        try life.take(.begin(needsVerification: false), at: Self.start)
        let due = life.dueAt
        #expect(throws: Lifecycle.Refusal.late) {
            try life.take(.extend(noticeAt: Self.start), at: due + .milliseconds(1))
        }
        for notice in [Self.start - .milliseconds(1), due + .milliseconds(1)] {
            #expect(throws: Lifecycle.Refusal.noticeOutOfTime) {
                try life.take(.extend(noticeAt: notice), at: due)
            }
        }
        try life.take(.extend(noticeAt: due), at: due)
        #expect(life.dueAt == PrivacyRegime.gdpr.due(Self.start, isExtended: true))
        #expect(throws: Lifecycle.Refusal.alreadyExtended) {
            try life.take(.extend(noticeAt: Self.start), at: due)
        }
    }

    @Test("random steps go as a table of all transitions says")
    func oracle() {
        var generator = seededGenerator()
        for _ in 0..<500 {
            let kind = PrivacyRequestKind.allCases.randomElement(using: &generator) ?? .access
            var life = Lifecycle(kind: kind, regime: kind.regime, receivedAt: Self.start)
            var (table, now) = (Table(kind: kind), Self.start)
            for _ in 0..<12 {
                now = now + .hours(Int.random(in: 0...400, using: &generator))
                let notice = Self.start + .hours(Int.random(in: -10...1_500, using: &generator))
                let step = Self.steps(notice).randomElement(using: &generator) ?? .verify
                let before = life
                let expected = table.take(step, at: now)
                do {
                    try life.take(step, at: now)
                    #expect(expected, "\(before) took \(step)")
                } catch {
                    #expect(!expected, "\(before) refused \(step): \(error)")
                    #expect(life == before)
                }
                #expect(life.state.rawValue == table.state)
            }
        }
    }

    private static func steps(_ notice: Instant) -> [Lifecycle.Step] {
        [
            .begin(needsVerification: true), .begin(needsVerification: false), .verify, .complete,
            .refuse(reason: "r"), .cancel(reason: nil), .extend(noticeAt: notice),
        ]
    }

    /// Each transition that there is, one by one.
    private struct Table {
        let kind: PrivacyRequestKind
        var state = "received"
        var extended = false

        mutating func take(_ step: Lifecycle.Step, at now: Instant) -> Bool {
            let stoppable = kind != .erasure && kind != .delete
            let next: String? =
                switch (state, step) {
                case ("received", .begin(true)): "verifying"
                case ("received", .begin(false)): "inProgress"
                case ("verifying", .verify): "inProgress"
                case ("inProgress", .complete): "completed"
                case ("received", .refuse), ("verifying", .refuse): "refused"
                case ("received", .cancel), ("verifying", .cancel): "cancelled"
                case ("inProgress", .refuse) where stoppable: "refused"
                case ("inProgress", .cancel) where stoppable: "cancelled"
                case ("received", .extend(let notice)), ("verifying", .extend(let notice)),
                    ("inProgress", .extend(let notice)):
                    isTimely(notice, now) ? state : nil
                default: nil
                }
            guard let next else { return false }
            if case .extend = step { extended = true }
            state = next
            return true
        }

        private func isTimely(_ notice: Instant, _ now: Instant) -> Bool {
            // 1,700,000,000 is 14 November 2023: a month later it is 30 days, and in California 45.
            let days = kind.regime == .gdpr ? 30 : 45
            let due = PrivacyRequestLifecycleTests.start + .hours(days * 24)
            return !extended && now <= due && notice >= PrivacyRequestLifecycleTests.start && notice <= now
        }
    }

    @Test("reminders come a week and a day before it is due, and when it is; none of what has ended")
    func reminders() throws {
        var life = Lifecycle(kind: .access, regime: .gdpr, receivedAt: Self.start)
        try life.take(.begin(needsVerification: false), at: Self.start)
        var seen: [PrivacyReminder] = []
        var at = Self.start
        while let next = PrivacyReminder.next(of: life, after: at) {
            #expect(PrivacyReminder.last(of: life, upTo: next.at) == next.reminder)
            #expect(PrivacyReminder.last(of: life, upTo: next.at - .milliseconds(1)) == seen.last)
            seen.append(next.reminder)
            at = next.at
        }
        #expect(seen == [.weekBefore, .dayBefore, .overdue])
        #expect(at == life.dueAt)
        try life.take(.cancel(reason: nil), at: Self.start)
        #expect(PrivacyReminder.next(of: life, after: Self.start) == nil)
    }

    @Test("a token is good once it is right, in time, and not tried too often")
    func token() {
        let right: [UInt8] = Array(1...32)
        let wrong: [UInt8] = right.dropLast() + [0]
        func take(_ tried: [UInt8], _ token: inout VerificationToken, after: Duration = .zero) -> Bool {
            token.accepts(tried, at: Self.start + after)
        }
        var token = VerificationToken(digest: right, expiresAt: Self.start + VerificationToken.lifetime)
        for tried in [wrong, []] {
            let isTaken = take(tried, &token)
            #expect(!isTaken)
        }
        #expect(token.failures == 2)
        var (late, tried) = (token, token)
        let whenOver = take(right, &late, after: VerificationToken.lifetime)
        #expect(!whenOver)
        let guesses = (0..<3).map { _ in take(wrong, &tried) } + [take(right, &tried)]
        #expect(guesses == [false, false, false, false])
        let inTime = take(right, &token, after: VerificationToken.lifetime - .milliseconds(1))
        #expect(inTime)
    }

    @Test("what somebody may take along is what they gave, in JSON and in cells that are no formulas")
    func portable() {
        let data = PortableData.of([
            "identity": [
                "profile": ["traits": ["note": "=1+1", "age": 7]], "timeline": [["event": "A, \"b\""]],
            ],
            "segmentation": ["scores": [1]],
        ])
        #expect(data["profile"]?["traits"]?["age"]?.integer == 7)
        #expect(data.compact.contains("scores") == false)
        #expect(
            PortableData.csv(of: data)
                == "part,item,name,value\r\nevents,1,event,\"A, \"\"b\"\"\"\r\nprofile,1,traits.age,7\r\nprofile,1,traits.note,'=1+1\r\n"
        )
    }
}
