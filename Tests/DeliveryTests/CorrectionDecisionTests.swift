import DeliveryDomain
import Models
import Testing

/// Random lives of messages against an oracle that looks at everything that happened, each time anew.
@Suite struct CorrectionDecisionTests {
    private enum Happening: Hashable {
        case said(IntentCorrection)
        /// An attempt begins, or ends: the server has taken the message, or not yet.
        case attempt
        case delivered
        case failed
        /// It is decided that the message isn't sent, by consent for one.
        case refused
    }

    private static let people = (0..<3).compactMap { ProfileID("01931f2a-0000-7000-8000-00000000000\($0)") }
    private static let intent = IntentID(UUIDv7.derived(at: start, from: "intent"))
    private static let start = Instant(milliseconds: 1_795_000_000_000)

    /// What the service does: it decides as each thing happens, and keeps what is said during an attempt.
    private struct Life {
        var standing = MessageStanding(.pending, of: people[0], wantedAt: start)
        var kept: IntentCorrection?
        var went: [ProfileID] = []

        mutating func happen(_ happening: Happening) {
            switch happening {
            case .said(let correction): take(correction)
            case .attempt where standing.stage == .pending: standing.stage = .sending
            case .delivered where standing.stage == .sending:
                standing.stage = .settled
                went.append(standing.profileID)
            case .failed where standing.stage == .sending:
                standing.stage = .pending
                if let kept { take(kept) }
                kept = nil
            case .refused where standing.stage == .pending: standing.stage = .unsent
            case .attempt, .delivered, .failed, .refused: break
            }
        }

        private mutating func take(_ correction: IntentCorrection) {
            switch CorrectionDecision.decide(correction, standing) {
            case .nothing: break
            case .later: kept = correction
            case .restate(let profileID, let wantedAt, let again):
                #expect(again == (profileID != standing.profileID || standing.stage == .unsent))
                standing = MessageStanding(.pending, of: profileID, wantedAt: wantedAt)
            case .cancel: standing.stage = .unsent
            }
        }
    }

    /// Where a message stands after a prefix of what happened, by looking back from its end.
    private func oracle(
        _ past: [Happening]
    ) -> (stage: MessageStanding.Stage, profile: ProfileID, at: Instant) {
        var isOpen = true
        var isUnderWay = false
        var word: IntentCorrection?
        var saidMeanwhile: IntentCorrection?
        for happening in past {
            switch happening {
            case .delivered where isUnderWay:
                let (profile, at) = (word?.profileID ?? Self.people[0], word?.at ?? Self.start)
                return (.settled, profile, at)
            case .attempt where isOpen: isUnderWay = true
            case .failed where isUnderWay:
                isUnderWay = false
                if let said = saidMeanwhile {
                    isOpen = said.kind != .withdrawn
                    if isOpen { word = said }
                }
                saidMeanwhile = nil
            case .refused where isOpen && !isUnderWay: isOpen = false
            case .said(let said) where isUnderWay: saidMeanwhile = said
            case .said(let said) where said.kind == .withdrawn: isOpen = false
            case .said(let said) where isOpen || said.kind == .renewed: (isOpen, word) = (true, said)
            default: break
            }
        }
        let (profile, at) = (word?.profileID ?? Self.people[0], word?.at ?? Self.start)
        return (isUnderWay ? .sending : isOpen ? .pending : .unsent, profile, at)
    }

    private func happening(_ generator: inout SeededGenerator, after minutes: Int) -> Happening {
        switch Int.random(in: 0..<9, using: &generator) {
        case 0..<4:
            return .said(
                IntentCorrection(
                    IntentCorrection.Kind.allCases.randomElement(using: &generator) ?? .restated, Self.intent,
                    of: Self.people[Int.random(in: 0..<3, using: &generator)],
                    at: Self.start + .minutes(Bool.random(using: &generator) ? 0 : minutes), mergeID: nil))
        case 4, 5: return .attempt
        case 6: return Int.random(in: 0..<4, using: &generator) == 0 ? .delivered : .failed
        case 7: return .failed
        default: return .refused
        }
    }

    @Test("a message stands where the last word that counts has put it, and goes out at most once")
    func random() {
        var generator = seededGenerator("corrections")
        var stages: [MessageStanding.Stage: Int] = [:]
        for _ in 0..<3_000 {
            var life = Life()
            var past: [Happening] = []
            for minutes in 0..<Int.random(in: 1...12, using: &generator) {
                let happening = happening(&generator, after: minutes)
                life.happen(happening)
                past.append(happening)
                let expected = oracle(past)
                #expect(life.standing.stage == expected.stage, "\(past)")
                if expected.stage != .unsent {
                    #expect(life.standing.profileID == expected.profile, "\(past)")
                    #expect(life.standing.wantedAt == expected.at, "\(past)")
                }
                #expect(life.went.count <= 1)
                stages[expected.stage, default: 0] += 1
            }
        }
        #expect(MessageStanding.Stage.allCases.allSatisfy { stages[$0, default: 0] > 100 }, "\(stages)")
    }

    @Test("what a cancellation is kept with leads to it again")
    func evidence() throws {
        let correction = IntentCorrection(
            .withdrawn, Self.intent, of: Self.people[1], at: Self.start, mergeID: nil)
        let standing = MessageStanding(.pending, of: Self.people[0], wantedAt: Self.start)
        #expect(CorrectionDecision.decide(correction, standing) == .cancel)
        #expect(
            CorrectionDecision.decide(
                try IntentCorrection(json: correction.json), try MessageStanding(json: standing.json))
                == .cancel)
    }
}
