import JourneysDomain
import Models
import Testing

@testable import JourneysServer

@Suite("What a merge means for running journeys")
struct MergeTests {
    private static let start = RandomHistory.start
    private static let other = ProfileID(UUIDv7.derived(at: start, from: "other"))
    private static let merge = MergeID(UUIDv7.derived(at: start, from: "merge"))

    private let catalog: JourneyCatalog
    private var survivor = ProfileJourneys(profileID: RandomHistory.profile)
    private var loser = ProfileJourneys(profileID: MergeTests.other)

    init() throws {
        catalog = TestJourney.catalog(try TestJourney.definition(TestJourney.abandonedCart))
    }

    @Test("a purchase on the device that is merged in stops the reminders of the survivor")
    mutating func purchaseOfTheLoser() {
        happens("Product Added", "cart", to: &survivor, after: .zero)
        happens("Order Completed", "order", to: &loser, after: .minutes(30))
        let decision = merged(after: .minutes(40))
        #expect(decision.intents.isEmpty)
        #expect(survivor.running.isEmpty)
        #expect(decision.history.last?.kind == .exited)
        #expect(decision.history.last?.detail["reason"] == "event")
        #expect(survivor.fireTimers(through: Self.start + .days(5), catalog: catalog).intents.isEmpty)
    }

    @Test("a purchase of the survivor stops the reminders that are taken over")
    mutating func purchaseOfTheSurvivor() {
        happens("Product Added", "cart", to: &loser, after: .zero)
        happens("Order Completed", "order", to: &survivor, after: .minutes(30))
        let decision = merged(after: .minutes(40))
        #expect(decision.history.map(\.kind) == [.moved, .exited])
        #expect(survivor.running.isEmpty)
    }

    @Test("a purchase before the cart was filled stops nothing", arguments: [true, false])
    mutating func earlierPurchase(isOfLoser: Bool) {
        if isOfLoser {
            happens("Order Completed", "order", to: &loser, after: .zero)
            happens("Product Added", "cart", to: &survivor, after: .minutes(30))
        } else {
            happens("Order Completed", "order", to: &survivor, after: .zero)
            happens("Product Added", "cart", to: &loser, after: .minutes(30))
        }
        _ = merged(after: .minutes(40))
        #expect(survivor.running.count == 1)
        #expect(survivor.fireTimers(through: Self.start + .days(5), catalog: catalog).intents.count == 3)
    }

    @Test("where both are in the journey, one passage goes on")
    mutating func bothRunning() {
        happens("Product Added", "one", to: &survivor, after: .zero)
        happens("Product Added", "two", to: &loser, after: .minutes(10))
        let decision = merged(after: .minutes(40))
        #expect(decision.history.last?.detail["reason"] == "merged")
        #expect(survivor.running.map(\.triggerKey) == ["one"])
    }

    private func happens(
        _ event: String, _ id: String, to journeys: inout ProfileJourneys, after pause: Duration
    ) {
        let at = Self.start + pause
        _ = journeys.apply(RandomHistory.event(event, id, at: at), now: at, catalog: catalog)
    }

    private mutating func merged(after pause: Duration) -> Decision {
        let at = Self.start + pause
        return survivor.absorb(loser, mergeID: Self.merge, at: at, position: nil, now: at, catalog: catalog)
    }
}
