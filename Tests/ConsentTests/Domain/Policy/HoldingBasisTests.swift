import Models
import Testing

@testable import ConsentDomain

@Suite("A basis to hold somebody")
struct HoldingBasisTests {
    private static let start = Instant(milliseconds: 1_800_000_000_000)
    private static func hour(_ count: Int) -> Instant { start + .hours(count) }

    /// What happened to somebody, hour by hour.
    private struct History: CustomStringConvertible {
        var known = 0
        var said: [(at: Int, purpose: String, action: ConsentChange.State)] = []
        var contracts: [Int] = []
        var policies: [(at: Int, policy: ConsentPolicy)] = []

        var description: String {
            "known \(known), said \(said), contracts \(contracts), policies "
                + policies.map { at, policy in
                    "\(at): "
                        + policy.purposes.values.map {
                            "\($0.id) \($0.legalBasis) \($0.lasts?.text ?? "")"
                        }.sorted().joined(separator: ", ")
                }.joined(separator: "; ")
        }

        /// The words as they stand at an hour: the latest, and of two at once the withdrawal.
        func words(at hour: Int) -> [String: ConsentWord] {
            var words: [String: ConsentWord] = [:]
            for (at, purpose, state) in said where at <= hour {
                let word = ConsentWord(state, at: HoldingBasisTests.hour(at))
                if words[purpose].map({ word.prevails(over: $0) }) ?? true { words[purpose] = word }
            }
            return words
        }

        func policy(at hour: Int) -> ConsentPolicy {
            policies.last { $0.at <= hour }?.policy ?? ConsentPolicy()
        }

        /// Whether anything permits to hold them at an hour, said without the decider.
        func isHeld(at hour: Int, _ rule: NoBasisRule) -> Bool {
            let words = words(at: hour)
            let now = HoldingBasisTests.hour(hour)
            return policy(at: hour).purposes.values.contains { purpose in
                switch purpose.legalBasis {
                case .contract:
                    guard let contract = rule.contract else { return true }
                    return contracts.contains {
                        $0 <= hour && now < HoldingBasisTests.hour($0) + contract.within
                    }
                case .legitimateInterest:
                    // A no to being sold or written to is kept with whoever said it.
                    if purpose.isSaleOrSharing || purpose.isDirectMarketing { return true }
                    return words[purpose.id]?.state != .withdrawn
                case .consent:
                    guard let word = words[purpose.id], word.state == .granted else { return false }
                    return purpose.lasts.map { now < word.at + $0.duration } ?? true
                }
            }
        }
    }

    private static func randomPolicy(_ generator: inout SeededGenerator) -> ConsentPolicy {
        var purposes: [Purpose] = []
        for id in ["a", "b", "c"] where Int.random(in: 0..<3, using: &generator) > 0 {
            // Mostly consent, so that there is mostly something to find out.
            let basis: LegalBasis =
                [.consent, .consent, .consent, .legitimateInterest, .contract].randomElement(
                    using: &generator) ?? .consent
            var purpose = Purpose(id: id, name: id, legalBasis: basis, textVersion: "1")
            if basis == .consent, Bool.random(using: &generator) {
                purpose.lasts = ConsentTerm("PT\(Int.random(in: 1...60, using: &generator))H")
            }
            purpose.isSaleOrSharing = Int.random(in: 0..<4, using: &generator) == 0
            purpose.isDirectMarketing = Int.random(in: 0..<4, using: &generator) == 0
            if Int.random(in: 0..<4, using: &generator) == 0 {
                purpose.jurisdictions = [Jurisdiction("CH")].compactMap { $0 }
                purpose.channels = ["email"]
            }
            purposes.append(purpose)
        }
        return ConsentPolicy(purposes: purposes)
    }

    @Test(
        "whatever somebody says, and whatever the policies, they go exactly when at no hour of the time anything permitted to hold them, they said nothing, and the grounds were those of now"
    )
    func oracle() {
        var generator = seededGenerator()
        var (gone, held) = (0, 0)
        for _ in 0..<4_000 {
            let last = 200
            var history = History(known: .random(in: 0...150, using: &generator))
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                history.said.append(
                    (
                        .random(in: 0...last, using: &generator),
                        ["a", "b", "c", "gone"].randomElement(using: &generator) ?? "a",
                        Int.random(in: 0..<3, using: &generator) == 0 ? .granted : .withdrawn
                    ))
            }
            for _ in 0..<Int.random(in: 0...2, using: &generator) {
                history.contracts.append(.random(in: 0...last, using: &generator))
            }
            history.policies = [(0, Self.randomPolicy(&generator))]
            if Int.random(in: 0..<3, using: &generator) == 0 {
                let at = Int.random(in: 1...last, using: &generator)
                // Half of the changes change no grounds.
                var next = history.policies[0].policy
                if Bool.random(using: &generator) { next = Self.randomPolicy(&generator) }
                for id in next.purposes.keys { next.purposes[id]?.textVersion = "2" }
                history.policies.append((at, next))
            }
            var rule = NoBasisRule(after: .hours(.random(in: 1...80, using: &generator)))
            if Bool.random(using: &generator) {
                rule.contract = .init(
                    events: ["Order Completed"], within: .hours(.random(in: 1...90, using: &generator)))
            }
            let now = last
            let current = history.policy(at: now)
            // The window, and the hour before it: what ended as it began had not ended before.
            let first = now - Int(rule.after.milliseconds / 3_600_000)
            let isSilent = !history.said.contains {
                $0.at >= first && current.purposes[$0.purpose] != nil
            }
            let isGone =
                history.known < first && isSilent
                && (first - 1...now).allSatisfy { hour in
                    !history.isHeld(at: hour, rule) && history.policy(at: hour).hasGrounds(of: current)
                }
            let grounds = groundsSince(history, current)
            let verdict = current.lacksBasis(
                KnownGrounds(
                    knownSince: Self.hour(history.known), words: history.words(at: now),
                    lastContract: history.contracts.max().map { Self.hour($0) }),
                since: grounds, by: rule, now: Self.hour(now))
            #expect(verdict == isGone, "\(rule) \(history)")
            if verdict { gone += 1 } else { held += 1 }
        }
        #expect(gone > 100 && held > 1_000, "\(gone) \(held)")
    }

    @Test(
        "who objected to being sold or written to is kept, as the objection would else be forgotten with them"
    )
    func objection() {
        var purpose = Purpose(id: "a", name: "A", legalBasis: .legitimateInterest, textVersion: "1")
        let said = KnownGrounds(
            knownSince: Self.hour(0), words: ["a": ConsentWord(.withdrawn, at: Self.hour(1))])
        func isGone() -> Bool {
            ConsentPolicy(purposes: [purpose]).lacksBasis(
                said, since: Self.hour(0), by: NoBasisRule(after: .hours(10)), now: Self.hour(100))
        }
        #expect(isGone())
        purpose.isSaleOrSharing = true
        #expect(!isGone())
        (purpose.isSaleOrSharing, purpose.isDirectMarketing) = (false, true)
        #expect(!isGone())
        // Without consent nothing is done, whether it is remembered or not.
        purpose.legalBasis = .consent
        #expect(isGone())
    }

    private func groundsSince(_ history: History, _ current: ConsentPolicy) -> Instant {
        var since = Instant.distantFuture
        for (at, policy) in history.policies.reversed() {
            guard policy.hasGrounds(of: current) else { break }
            since = Self.hour(at)
        }
        return since
    }

    @Test(
        "a policy has other grounds when a purpose comes, goes, rests on something else or lasts longer, and for no text"
    )
    func grounds() {
        let base = ConsentPolicy(purposes: [
            Purpose(id: "a", name: "A", legalBasis: .consent, textVersion: "1")
        ])
        var other = base
        other.purposes["a"]?.textVersion = "2"
        other.purposes["a"]?.name = "B"
        #expect(other.hasGrounds(of: base))
        for change: (inout ConsentPolicy) -> Void in [
            { $0.purposes["a"]?.legalBasis = .legitimateInterest }, { $0.purposes["a"] = nil },
            { $0.purposes["a"]?.lasts = ConsentTerm("P1Y") },
            { $0.purposes["b"] = Purpose(id: "b", name: "B", legalBasis: .contract, textVersion: "1") },
        ] {
            var other = base
            change(&other)
            #expect(!other.hasGrounds(of: base) && !base.hasGrounds(of: other))
        }
    }
}
