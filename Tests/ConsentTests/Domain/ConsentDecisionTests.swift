import ConsentDomain
import Foundation
import Models
import Testing

@Suite("Consent decisions")
struct ConsentDecisionTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)
    private let profile = ProfileID(UUIDv7.make(at: Instant(milliseconds: 0), random: (1, 2)))

    private func entry(
        _ action: ConsentAction, at milliseconds: Int64, purpose: String = "marketing", number: UInt64 = 0
    ) -> LedgerEntry {
        LedgerEntry(
            id: LedgerEntryID(UUIDv7.make(at: now, random: (number, number))), profileID: profile,
            purpose: purpose, action: action, source: "test", textVersion: nil,
            occurredAt: Instant(milliseconds: now.milliseconds - 10_000 + milliseconds), recordedAt: now,
            evidence: [:])
    }

    @Test("without an entry there is no decision")
    func nothing() {
        #expect(consentState([], purpose: "marketing", now: now) == nil)
        #expect(
            consentState([entry(.grant, at: 1, purpose: "analytics")], purpose: "marketing", now: now) == nil)
    }

    @Test("a withdrawal that arrives late but happened before the grant changes nothing")
    func lateWithdrawal() {
        let entries = [entry(.grant, at: 500), entry(.withdraw, at: 400)]
        #expect(consentState(entries, purpose: "marketing", now: now)?.state == .granted)
    }

    @Test("at the same instant the withdrawal wins, whichever was recorded first")
    func tie() {
        let grant = entry(.grant, at: 500, number: 9)
        let withdrawal = entry(.withdraw, at: 500, number: 1)
        #expect(consentState([grant, withdrawal], purpose: "marketing", now: now)?.entry == withdrawal.id)
        #expect(consentState([withdrawal, grant], purpose: "marketing", now: now)?.entry == withdrawal.id)
    }

    @Test("what claims to happen in the future counts from when it was recorded")
    func future() {
        let entry = entry(.grant, at: 99_000_000)
        #expect(entry.occurredAt == entry.recordedAt)
    }

    @Test("random histories agree with a plain reading of the rule, in any order and at any instant")
    func oracle() {
        var generator = seededGenerator()
        for _ in 0..<2_000 {
            let purposes = ["marketing", "analytics"]
            let entries = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                entry(
                    Bool.random(using: &generator) ? .grant : .withdraw,
                    // Few different instants, so that ties are common.
                    at: Int64.random(in: 0...5, using: &generator),
                    purpose: purposes[Int.random(in: 0...1, using: &generator)], number: generator.next())
            }
            let instant = Instant(
                milliseconds: now.milliseconds - 10_000 + Int64.random(in: 0...6, using: &generator))
            for purpose in purposes {
                let expected = plainReading(entries, purpose: purpose, now: instant)
                let shuffled = entries.shuffled(using: &generator)
                #expect(consentState(shuffled, purpose: purpose, now: instant)?.state == expected)
            }
        }
    }

    /// The latest instant at which anything was said; withdrawn if a withdrawal is among what was said then.
    private func plainReading(
        _ entries: [LedgerEntry], purpose: String, now: Instant
    ) -> ConsentChange.State? {
        let said = entries.filter { $0.purpose == purpose && $0.occurredAt <= now }
        guard let latest = said.map(\.occurredAt).max() else { return nil }
        return said.contains { $0.occurredAt == latest && $0.action == .withdraw } ? .withdrawn : .granted
    }

    @Test("merging the decisions of two profiles is the decision of their joined histories")
    func merging() {
        var generator = seededGenerator()
        for _ in 0..<2_000 {
            func history() -> [LedgerEntry] {
                (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                    entry(
                        Bool.random(using: &generator) ? .grant : .withdraw,
                        at: Int64.random(in: 0...4, using: &generator), number: generator.next())
                }
            }
            let (a, b, c) = (history(), history(), history())
            let states = [a, b, c].map { consentState($0, purpose: "marketing", now: now) }
            let joined = consentState(a + b + c, purpose: "marketing", now: now)
            #expect(mergedConsent(mergedConsent(states[0], states[1]), states[2]) == joined)
            #expect(mergedConsent(states[2], mergedConsent(states[1], states[0])) == joined)
            #expect(mergedConsent(joined, joined) == joined)
        }
    }
}
