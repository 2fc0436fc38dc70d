import JourneysDomain
import Models
import Testing

@Suite("What is said of messages when a merge was undone")
struct IntentReviewTests {
    private static let start = RandomHistory.start
    private static let people = ["ada", "bob"].map { ProfileID(UUIDv7.derived(at: start, from: $0)) }
    private static let instances = (0..<2).map {
        InstanceID(UUIDv7.derived(at: start, from: "instance", "\($0)"))
    }
    private static let merge = MergeID(UUIDv7.derived(at: start, from: "merge"))

    private static func intent(_ told: ToldIntent) -> SendIntent {
        SendIntent(
            intentID: IntentID(UUIDv7.derived(at: told.at, from: "again", told.id.description)),
            journey: "j", journeyVersion: 1, instanceID: told.instanceID, step: told.step,
            profileID: told.profileID, template: "t", purpose: "marketing",
            variables: ["journey": ["visit": .integer(Int64(told.visit))]], at: told.at)
    }

    private static func told(_ number: Int, _ random: inout TestSeed, now: Instant) -> ToldIntent {
        ToldIntent(
            id: IntentID(UUIDv7.derived(at: start, from: "intent", "\(number)")),
            instanceID: random.pick(instances), step: random.pick(["first", "second"]),
            visit: random.pick([1, 2]), profileID: random.pick(people),
            at: now - .hours(random.pick([0, 1, 5, 71, 72, 73, 90])), isWithdrawn: random.chance(20))
    }

    @Test("each message is set right by what its person would have been to get, and too old ones are let be")
    func oracle() {
        let seed = TestSeed.value
        print("seed \(seed)")
        var random = TestSeed(seed)
        var said: [IntentCorrection.Kind: Int] = [:]
        let now = Self.start + .days(10)
        for _ in 0..<2_000 {
            var (told, wanted): ([ToldIntent], [SendIntent]) = ([], [])
            for number in 0..<random.pick([1, 3, 6]) {
                let one = Self.told(number, &random, now: now)
                // Of a passage a step is visited once for each visit.
                let isKnown = told.contains {
                    ($0.instanceID, $0.step, $0.visit) == (one.instanceID, one.step, one.visit)
                }
                if isKnown { continue }
                told.append(one)
                if random.chance(60) {
                    var due = one
                    due.at = min(now, one.at + .hours(random.pick([0, 0, 3, -3])))
                    wanted.append(Self.intent(due))
                }
            }
            let still: Set<InstanceID> = random.chance(20) ? [Self.instances[0]] : []
            let review = IntentReview(of: Self.people[1], wanted: wanted) { !still.contains($0) }
            let unfired = random.chance(50) ? Instant.distantFuture : now - .hours(2)
            let corrections = review.corrections(of: told, undoing: Self.merge, at: now, unfired: unfired)
            let due = IntentReview.due(wanted, beside: Array(told.dropFirst()), unfired: unfired)
            #expect(
                due.map(\.step)
                    == wanted.filter { $0.instanceID == told[0].instanceID && $0.step == told[0].step }
                    .filter { $0.variables["journey"]?["visit"]?.integer == Int64(told[0].visit) }
                    .filter { $0.at.milliseconds >= unfired.milliseconds }.map(\.step))
            #expect(Set(corrections.map(\.intentID)).count == corrections.count)
            for one in told {
                let correction = corrections.first { $0.intentID == one.id }
                let expected = Self.expected(one, wanted, still, now, unfired)
                #expect(
                    correction.map { "\($0.kind) \($0.at)" } == expected,
                    "seed \(seed): \(one), \(wanted.map { "\($0.step) \($0.at)" })")
                if let correction {
                    #expect(correction.profileID == Self.people[1] && correction.mergeID == Self.merge)
                    said[correction.kind, default: 0] += 1
                }
            }
        }
        #expect(said[.restated, default: 0] > 500 && said[.withdrawn, default: 0] > 500, "\(said)")
    }

    /// The rules, one after the other.
    private static func expected(
        _ told: ToldIntent, _ wanted: [SendIntent], _ still: Set<InstanceID>, _ now: Instant,
        _ unfired: Instant
    ) -> String? {
        func isTooOld(_ at: Instant) -> Bool { now.milliseconds - at.milliseconds > 72 * 3_600_000 }
        let matches = wanted.filter {
            $0.instanceID == told.instanceID && $0.step == told.step
                && $0.variables["journey"]?["visit"]?.integer == Int64(told.visit)
        }
        if told.isWithdrawn {
            let due = matches.first { $0.at.milliseconds >= unfired.milliseconds && !isTooOld($0.at) }
            return due.map { "renewed \($0.at)" }
        }
        if matches.isEmpty, !still.contains(told.instanceID) {
            return isTooOld(told.at) ? nil : "withdrawn \(told.at)"
        }
        let due = still.contains(told.instanceID) ? told.at : matches[0].at
        let at = due.milliseconds > told.at.milliseconds ? due : told.at
        if told.profileID == people[1], at == told.at { return nil }
        return isTooOld(at) ? nil : "restated \(at)"
    }
}
