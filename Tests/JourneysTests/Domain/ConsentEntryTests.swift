import ConsentDomain
import JourneysDomain
import Models
import Testing

@testable import JourneysServer

@Suite("What consent lets into a journey")
struct ConsentEntryTests {
    private static let start = RandomHistory.start

    private func catalog(_ requires: [String: [String]]) throws -> JourneyCatalog {
        var catalog = TestJourney.catalog(try TestJourney.definition(TestJourney.abandonedCart))
        var policy = ConsentPolicy(purposes: [
            Purpose(id: "profiling", name: "Profiling", legalBasis: .consent, textVersion: "1")
        ])
        policy.requires[.journeys] = requires.mapValues { .init($0) }
        catalog.consent = JourneyConsent(policy, version: 7)
        return catalog
    }

    private func enter(_ catalog: JourneyCatalog, _ consents: [String: ConsentWord]) -> Decision {
        var journeys = ProfileJourneys(profileID: RandomHistory.profile)
        journeys.consents = consents
        let event = TrackingEvent(
            messageID: "cart", kind: .track, name: "Product Added", timestamp: Self.start,
            receivedAt: Self.start,
            sourceID: SourceID(UUIDv7.derived(at: Self.start, from: "source")))
        return journeys.apply(JourneyFact(.event(event)), now: Self.start, catalog: catalog)
    }

    @Test("who has not granted what a journey needs is not let in, and it is kept why")
    func denied() throws {
        let catalog = try catalog(["journey": ["profiling"]])
        let unknown = enter(catalog, [:])
        #expect(unknown.history.map(\.kind) == [.notEntered])
        #expect(unknown.history.first?.detail["reason"] == "denied")
        #expect(unknown.history.first?.detail["purpose"] == "profiling")
        #expect(unknown.history.first?.detail["denial"] == "consent-missing")
        #expect(unknown.history.first?.detail["policyVersion"] == 7)
        let withdrawn = enter(catalog, ["profiling": ConsentWord(.withdrawn, at: Self.start)])
        #expect(withdrawn.history.first?.detail["denial"] == "consent-withdrawn")
        #expect(
            enter(catalog, ["profiling": ConsentWord(.granted, at: Self.start)]).history.first?.kind
                == .entered)
    }

    @Test("whose data is restricted is let into nothing, also where the policy asks nothing")
    func restricted() throws {
        var journeys = ProfileJourneys(profileID: RandomHistory.profile)
        journeys.isRestricted = true
        let event = TrackingEvent(
            messageID: "cart", kind: .track, name: "Product Added", timestamp: Self.start,
            receivedAt: Self.start,
            sourceID: SourceID(UUIDv7.derived(at: Self.start, from: "source")))
        let decision = journeys.apply(
            JourneyFact(.event(event)), now: Self.start, catalog: try catalog([:]))
        #expect(decision.history.map(\.kind) == [.notEntered])
        #expect(decision.history.first?.detail["reason"] == "restricted")
        #expect(decision.intents.isEmpty)
    }

    @Test("a journey of which the policy says nothing needs nothing, and one for all holds for each")
    func others() throws {
        let kinds = try [["another": ["profiling"]], ["*": ["profiling"]], [:]].map { requires in
            enter(try catalog(requires), [:]).history.first?.kind
        }
        #expect(kinds == [.entered, .notEntered, .entered])
    }
}
