import ConsentDomain
import Foundation
import Models
import Testing

@Suite("Decisions that events carry")
struct ConsentSignalTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)

    private func event(
        _ name: String, _ properties: [String: JSON] = [:], kind: TrackingEvent.Kind = .track
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: "m1", kind: kind, name: name, timestamp: now, receivedAt: now,
            sourceID: SourceID(UUIDv7.make(at: now, random: (1, 1))), properties: properties)
    }

    private func signal(_ event: TrackingEvent) -> ConsentSignal? {
        if case .signal(let signal) = ConsentSignal.read(event) { signal } else { nil }
    }

    @Test("a grant names its purpose, source and text version")
    func grant() {
        let signal = signal(
            event("Consent Granted", ["purpose": "analytics", "source": "banner", "textVersion": "2026-01"]))
        #expect(signal?.purpose == "analytics")
        #expect(signal?.action == .grant)
        #expect(signal?.source == "banner")
        #expect(signal?.textVersion == "2026-01")
        #expect(signal?.evidence["messageId"]?.string == "m1")
    }

    @Test("an unsubscribe without a readable purpose withdraws marketing")
    func unsubscribe() {
        #expect(signal(event("Unsubscribed"))?.purpose == "marketing")
        #expect(signal(event("Unsubscribed", ["purpose": 7]))?.purpose == "marketing")
        #expect(signal(event("Unsubscribed", ["purpose": "news"]))?.purpose == "news")
        #expect(signal(event("Unsubscribed"))?.action == .withdraw)
    }

    @Test("a decision without a purpose is unusable, other events say nothing")
    func others() {
        #expect(ConsentSignal.read(event("Consent Granted")) == .unusable)
        #expect(ConsentSignal.read(event("Consent Withdrawn", ["purpose": "Not An Id"])) == .unusable)
        #expect(ConsentSignal.read(event("Order Completed")) == .none)
        #expect(ConsentSignal.read(event("Consent Granted", ["purpose": "marketing"], kind: .page)) == .none)
    }

    @Test("a source that could be an address is not taken into the ledger")
    func labels() {
        let signal = signal(event("Consent Granted", ["purpose": "marketing", "source": "ada@example.com"]))
        #expect(signal?.source == "event")
    }

    @Test("a privacy request is done when all have reported, and failed if any failed")
    func progress() {
        #expect(PrivacyProgress.status([.completed, .pending]) == .pending)
        #expect(PrivacyProgress.status([.completed, .failed]) == .failed)
        #expect(PrivacyProgress.status([.completed, .completed]) == .completed)
        #expect(PrivacyResultStatus.completed.after(.failed) == .completed)
        #expect(PrivacyResultStatus.failed.after(.completed) == .completed)
    }
}
