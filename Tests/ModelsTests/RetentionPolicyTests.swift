import Models
import Testing

@Suite("The retention policy")
struct RetentionPolicyTests {
    private func read(_ text: String) throws -> RetentionPolicy {
        try RetentionPolicy(json: JSONParser.parse(text))
    }

    @Test("a policy says for how long each class of data is kept, and reads as it is written")
    func roundTrip() throws {
        let policy = try read(
            """
            {"keep": {"rawEvents": "30d", "quarantine": "14d", "messages": "400d", "timelineEvents":
              {"default": "730d", "events": {"Product Viewed": "90d", "type:page": "30d"}, "purposes": {"analytics": "365d"}}}}
            """)
        #expect(
            policy.keep == [
                .rawEvents: .days(30), .quarantine: .days(14), .messages: .days(400),
                .timelineEvents: .days(730),
            ])
        #expect(policy.keep(event: "Product Viewed", needing: ["analytics"]) == .days(90))
        #expect(policy.keep(event: "Order Completed", needing: ["analytics"]) == .days(365))
        #expect(policy.keep(event: "Order Completed", needing: []) == .days(730))
        #expect(try RetentionPolicy(json: policy.json) == policy)
        #expect(try read("{}") == RetentionPolicy())
        #expect(RetentionPolicy().boundary(of: .messages, now: .distantFuture) == nil)
    }

    @Test(
        "a mistake is told by its place and by what was expected there",
        arguments: [
            (#"{"keep": {"rawEvent": "30d"}}"#, "keep.rawEvent"),
            (#"{"keep": {"rawEvents": "6d"}}"#, "keep.rawEvents"),
            (#"{"keep": {"rawEvents": 30}}"#, "keep.rawEvents"),
            (#"{"keep": {"quarantine": "367d"}}"#, "keep.quarantine"),
            (#"{"keep": {"privacyRequests": "365d"}}"#, "keep.privacyRequests"),
            (#"{"keep": {"rawEvents": "7d", "timelineEvents": {}}}"#, "keep.timelineEvents"),
            (#"{"keep": {"timelineEvents": {"events": {"*": "9d"}}}}"#, "keep.timelineEvents.events.*"),
            (#"{"keep": {"timelineEvents": {"purposes": {"a": "1d"}}}}"#, "keep.timelineEvents.purposes.a"),
            (#"{"keep": {"timelineEvents": "30d"}}"#, "keep.timelineEvents"),
            (#"{"keep": {"rawEvents": "31d", "timelineEvents": "30d"}}"#, "keep.rawEvents"),
            (#"{"keep": {"noBasis": "30d"}}"#, "keep.noBasis"), (#"{"noBasis": "30d"}"#, "noBasis"),
            (#"{"noBasis": {"after": "6d"}}"#, "noBasis.after"), (#"{"noBasis": {}}"#, "noBasis.after"),
            (#"{"noBasis": {"after": "7d", "mostPercent": 0}}"#, "noBasis.mostPercent"),
            (#"{"noBasis": {"after": "7d", "mostPercent": 101}}"#, "noBasis.mostPercent"),
            (#"{"noBasis": {"after": "7d", "mostPeople": 1}}"#, "noBasis.mostPeople"),
            (#"{"noBasis": {"after": "7d", "contract": {"within": "30d"}}}"#, "noBasis.contract.events"),
            (
                #"{"noBasis": {"after": "7d", "contract": {"events": ["a", "a"], "within": "30d"}}}"#,
                "noBasis.contract.events"
            ),
            (
                #"{"noBasis": {"after": "7d", "contract": {"events": ["a"], "within": "4000d"}}}"#,
                "noBasis.contract.within"
            ),
            (
                #"{"keep": {"rawEvents": "7d", "timelineEvents": "29d"}, "noBasis": {"after": "7d", "contract": {"events": ["a"], "within": "30d"}}}"#,
                "noBasis.contract.within"
            ),
            // Whose order is gone before its end has counted for long enough would be taken for one who never had any.
            (
                #"{"keep": {"rawEvents": "7d", "timelineEvents": "36d"}, "noBasis": {"after": "7d", "contract": {"events": ["a"], "within": "30d"}}}"#,
                "noBasis.contract.within"
            ),
            (#"{"ledger": "30d"}"#, "ledger"), (#"{"keep": {"ledger": "30d"}}"#, "keep.ledger"),
        ])
    func mistakes(text: String, path: String) throws {
        do {
            _ = try read(text)
            Issue.record("\(text) was taken")
        } catch let problem as DecodingProblem {
            #expect(problem.path == path, "\(problem.message)")
        }
    }

    @Test("a policy says when people go whom nothing permits to hold, and how many may go unasked")
    func noBasis() throws {
        let policy = try read(
            """
            {"keep": {"rawEvents": "7d", "timelineEvents": {"default": "30d", "events": {"Order Completed": "1095d"}}},
             "noBasis": {"after": "90d", "mostPercent": 30, "contract": {"events": ["Order Completed"], "within": "1005d"}}}
            """)
        let rule = try #require(policy.noBasis)
        #expect(rule.after == .days(90) && rule.mostPercent == 30)
        #expect(rule.contract == .init(events: ["Order Completed"], within: .days(1_005)))
        #expect(try RetentionPolicy(json: policy.json) == policy)
        #expect(try read(#"{"noBasis": {"after": "7d"}}"#).noBasis == NoBasisRule(after: .days(7)))
        // A share counts, save of so few that no share says anything.
        #expect(rule.isTooMany(31, of: 100) && !rule.isTooMany(30, of: 100))
        #expect(!NoBasisRule(after: .days(7)).isTooMany(10, of: 10))
        #expect(NoBasisRule(after: .days(7)).isTooMany(11, of: 11))
        #expect(!NoBasisRule(after: .days(7), mostPercent: 100).isTooMany(1_000, of: 1_000))
    }

    @Test("every class can be kept for its floor and for its ceiling, and for no more or less")
    func bounds() throws {
        for kind in RetentionClass.kept {
            for (keep, isTaken) in [
                (kind.floor, true), (kind.ceiling, true), (kind.floor - .milliseconds(1), false),
                (kind.ceiling + .milliseconds(1), false),
            ] {
                var members: [String: JSON] = [kind.rawValue: .string(keep.text)]
                if kind == .timelineEvents { members["rawEvents"] = "7d" }
                let policy = try? RetentionPolicy(json: ["keep": .object(members)])
                #expect((policy != nil) == isTaken, "\(kind) \(keep.text)")
            }
        }
    }

    @Test(
        "what is let go of is what was there before a full hour at which its time was over, and so less than an hour later"
    )
    func hours() {
        var generator = seededGenerator()
        for _ in 0..<2_000 {
            let keep = Duration.milliseconds(Int64.random(in: 0...100_000_000_000, using: &generator))
            let now = Instant(
                milliseconds: .random(in: -1_000_000_000_000...4_000_000_000_000, using: &generator))
            let boundary = RetentionPolicy(keep: [.messages: keep]).boundary(of: .messages, now: now)
            let late = boundary.map { (now - keep) - $0 } ?? .seconds(-1)
            #expect(late >= .zero && late < .hours(1))
            #expect((boundary?.milliseconds ?? 1) % 3_600_000 == 0)
        }
    }

    @Test("whatever the policies, an event goes from a timeline exactly when its own time is over")
    func oracle() {
        var generator = seededGenerator()
        let names = ["a", "b", "c", "type:page", "type:identify", "unheard"]
        let purposes = ["p", "q", "r"]
        func keep() -> Duration { .hours(Int.random(in: 1...50, using: &generator)) }
        func some<T>(_ all: [T]) -> [T] { all.filter { _ in Bool.random(using: &generator) } }
        for _ in 0..<500 {
            var policy = RetentionPolicy(
                events: Dictionary(uniqueKeysWithValues: some(Array(names.dropLast())).map { ($0, keep()) }),
                purposes: Dictionary(uniqueKeysWithValues: some(purposes).map { ($0, keep()) }))
            if Bool.random(using: &generator) { policy.keep[.timelineEvents] = keep() }
            let needs = Dictionary(
                uniqueKeysWithValues: some(Array(names.dropLast()) + ["*"]).map { ($0, some(purposes)) })
            let now = Instant(milliseconds: 1_800_000_000_000 + .random(in: 0...7_200_000, using: &generator))
            let rules = policy.timelines(needs: needs, now: now)
            for name in names {
                let at = now - .hours(Int.random(in: 0...60, using: &generator))
                // Said anew, without the names of rules.
                var keeps = (needs[name] ?? needs["*"] ?? []).compactMap { policy.purposes[$0] }
                if let all = policy.keep[.timelineEvents] { keeps.append(all) }
                let own = policy.events[name] ?? keeps.min()
                let hour: Int64 = 3_600_000
                let isOver = own.map { at.milliseconds < (now - $0).milliseconds / hour * hour } ?? false
                #expect(
                    rules.contains { $0.takes(name, recordedAt: at) } == isOver, "\(name) \(policy) \(needs)")
                #expect(rules.filter { $0.takes(name, recordedAt: .distantPast) }.count <= 1)
            }
        }
    }
}
