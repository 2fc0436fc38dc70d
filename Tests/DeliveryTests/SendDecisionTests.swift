import ConsentDomain
import DeliveryDomain
import Models
import Testing

/// Random histories against an oracle that reads them from the start each time.
@Suite struct SendDecisionTests {
    /// Something that happened, in the order of its time.
    private enum Event {
        case consent(profile: Int, granted: Bool)
        case suppressed(contact: Int, purpose: String?, reason: Suppression.Reason)
        case unsuppressed(contact: Int)
        case contactSeen(Int)
        case erased
        case restricted(Bool)
        case attemptFailed
        /// The person does not want mail, or does again.
        case refusedChannel(profile: Int, Bool)
        /// How often the person wants to be written to, or no longer wants that.
        case wished(profile: Int, ContactFrequency, Bool)
        /// Something else was sent.
        case sent
        /// A merge was undone.
        case undone(MergeID)
        /// What that means for consents and messages is known.
        case followed(MergeID)
    }

    private static let profiles = (0..<3).compactMap { ProfileID("01931f2a-0000-7000-8000-00000000000\($0)") }
    private static let start = Instant(milliseconds: 1_795_000_000_000)
    private static let merges = (0..<2).compactMap { MergeID("01931f2a-0000-7000-8000-0000000000a\($0)") }
    /// The third address can't be used.
    private static let isValid = [true, true, false]

    private struct History {
        var events: [(at: Instant, event: Event)] = []
        var basis: LegalBasis?
        /// How long a consent lasts, in minutes of the oracle's own.
        var lastsMinutes: Int?
        /// What the journey needs beside the message's own purpose: everybody's consent to it is the second profile's word.
        var needsProfiling = false
        var hasTemplate = true
        var channel = "email"
        var renders = true
        var id: MessageID
    }

    private func history(_ generator: inout SeededGenerator) throws -> History {
        let id = MessageID(UUIDv7.make(at: Self.start, random: (generator.next(), generator.next())))
        var history = History(id: id)
        history.basis =
            [.consent, .consent, .contract, .legitimateInterest, nil].randomElement(using: &generator) ?? nil
        if history.basis == .consent, Int.random(in: 0..<3, using: &generator) == 0 {
            history.lastsMinutes = Int.random(in: 1...3_000, using: &generator)
        }
        history.needsProfiling = Int.random(in: 0..<6, using: &generator) == 0
        history.hasTemplate = Int.random(in: 0..<10, using: &generator) > 0
        history.channel = Int.random(in: 0..<12, using: &generator) == 0 ? "pigeon" : "email"
        history.renders = Int.random(in: 0..<10, using: &generator) > 0
        var at = Self.start
        var attempts = 0
        for _ in 0..<Int.random(in: 0...14, using: &generator) {
            at = at + .minutes(Int.random(in: 0...180, using: &generator))
            let event: Event
            switch Int.random(in: 0..<25, using: &generator) {
            case 0..<8:
                event = .consent(
                    profile: Int.random(in: 0..<3, using: &generator),
                    granted: Int.random(in: 0..<3, using: &generator) > 0)
            case 8..<13: event = .contactSeen(Int.random(in: 0..<3, using: &generator))
            case 13:
                event = .suppressed(
                    contact: Int.random(in: 0..<3, using: &generator),
                    purpose: [nil, "marketing", "other"].randomElement(using: &generator) ?? nil,
                    reason: Bool.random(using: &generator) ? .unsubscribed : .manual)
            case 14: event = .unsuppressed(contact: Int.random(in: 0..<3, using: &generator))
            case 15 where Int.random(in: 0..<4, using: &generator) == 0: event = .erased
            case 16 where Bool.random(using: &generator):
                event = .undone(Self.merges[Int.random(in: 0..<2, using: &generator)])
            case 18: event = .restricted(Int.random(in: 0..<3, using: &generator) == 0)
            case 16, 17: event = .followed(Self.merges[Int.random(in: 0..<2, using: &generator)])
            case 21:
                event = .refusedChannel(
                    profile: Int.random(in: 0..<3, using: &generator),
                    Int.random(in: 0..<4, using: &generator) == 0)
            case 22:
                event = .wished(
                    profile: Int.random(in: 0..<3, using: &generator),
                    ContactFrequency.allCases.randomElement(using: &generator) ?? .daily,
                    Bool.random(using: &generator))
            case 23, 24: event = .sent
            default:
                attempts += 1
                event = attempts <= 8 ? .attemptFailed : .contactSeen(0)
            }
            history.events.append((at, event))
        }
        return history
    }

    private func policy(_ history: History) -> ConsentPolicy {
        var policy = ConsentPolicy()
        if let basis = history.basis {
            var purpose = Purpose(id: "marketing", name: "Marketing", legalBasis: basis, textVersion: "1")
            purpose.lasts = history.lastsMinutes.flatMap { ConsentTerm("PT\($0)M") }
            policy.purposes["marketing"] = purpose
        }
        if history.needsProfiling {
            policy.purposes["profiling"] = Purpose(
                id: "profiling", name: "Profiling", legalBasis: .consent, textVersion: "1")
            policy.requires[.journeys] = ["welcome": .init(["profiling"])]
        }
        return policy
    }

    /// The facts as the store would give them at `now`.
    private func facts(_ history: History, at now: Instant) -> SendFacts {
        var consents: [ProfileID: ConsentFact] = [:]
        var seen: [Int: Instant] = [:]
        var suppressions: [Int: [Suppression]] = [:]
        var attempts: [EarlierAttempt] = []
        var isErased = false
        var isRestricted = false
        var unmerges: [UnmergeFact] = []
        var wishes: [ConsentFact] = []
        var lastSentAt: Instant?
        func wish(_ profile: Int, _ name: String, _ isGranted: Bool, _ at: Instant) {
            let id = Self.profiles[profile]
            if let index = wishes.firstIndex(where: { $0.profileID == id && $0.purpose == name }) {
                if wishes[index].at == at, wishes[index].state == .withdrawn { return }
                wishes.remove(at: index)
            }
            wishes.append(
                ConsentFact(
                    profileID: id, purpose: name, state: isGranted ? .granted : .withdrawn, at: at,
                    ledgerEntry: nil))
        }
        for (at, event) in history.events where at <= now {
            switch event {
            case .consent(let index, let granted):
                let id = Self.profiles[index]
                let fact = ConsentFact(
                    profileID: id, purpose: "marketing", state: granted ? .granted : .withdrawn, at: at,
                    ledgerEntry: nil)
                // As the ledger folds: the later wins, at the same instant the withdrawal.
                if let held = consents[id], held.at == at, held.state == .withdrawn { continue }
                consents[id] = fact
            case .suppressed(let contact, let purpose, let reason):
                suppressions[contact, default: []].append(
                    Suppression(purpose: purpose, reason: reason, at: at))
            case .unsuppressed(let contact): suppressions[contact] = nil
            case .contactSeen(let contact): seen[contact] = at
            case .erased: isErased = true
            case .restricted(let begins): isRestricted = begins
            case .attemptFailed: attempts.append(EarlierAttempt(at: at, detail: "451"))
            case .refusedChannel(let profile, let isRefused):
                wish(profile, "channel:email", !isRefused, at)
            case .wished(let profile, let frequency, let isGranted):
                wish(profile, frequency.name, isGranted, at)
            case .sent: lastSentAt = at
            case .undone(let id):
                unmerges.append(
                    UnmergeFact(mergeID: id, profileID: Self.profiles[0], at: at, isFollowed: false))
            case .followed(let id):
                for index in unmerges.indices where unmerges[index].mergeID == id {
                    unmerges[index].isFollowed = true
                }
            }
        }
        let contacts = seen.map { contact, at in
            Contact(
                key: "\(contact)", isValid: Self.isValid[contact], lastSeen: at,
                suppressions: suppressions[contact] ?? [])
        }
        // Who says anything of marketing says the same of profiling.
        var said = Array(consents.values)
        if history.needsProfiling {
            said += consents.values.map {
                ConsentFact(
                    profileID: $0.profileID, purpose: "profiling", state: $0.state, at: $0.at,
                    ledgerEntry: nil)
            }
        }
        var facts = SendFacts(
            messageID: history.id, wantedAt: Self.start, channel: history.channel, purpose: "marketing",
            journey: "welcome", policy: policy(history), policyVersion: 7, isErased: isErased,
            isRestricted: isRestricted, unmerges: unmerges, contacts: contacts, consents: said + wishes,
            templateVersion: history.hasTemplate ? 1 : nil,
            renderingError: history.renders ? nil : "html:1:1: x",
            attempts: attempts, now: now)
        facts.lastSentAt = lastSentAt
        return facts
    }

    /// The same question asked of the events themselves, one condition at a time.
    private func oracle(_ history: History, at now: Instant) -> Set<String> {
        let past = history.events.filter { $0.at <= now }
        var wrong: Set<String> = []
        if past.contains(where: { if case .erased = $0.event { true } else { false } }) {
            wrong.insert("erased")
        }
        let restrictions = past.compactMap {
            if case .restricted(let begins) = $0.event { begins } else { nil }
        }
        if restrictions.last == true { wrong.insert("restricted") }
        if history.channel != "email" { wrong.insert("unknownChannel") }
        if history.basis == nil { wrong.insert("unknownPurpose") }
        if !history.hasTemplate { wrong.insert("unknownTemplate") }
        let words: [(at: Instant, granted: Bool)] = past.compactMap {
            if case .consent(_, let granted) = $0.event { ($0.at, granted) } else { nil }
        }
        let last = words.map(\.at).max()
        let isGranted = !words.isEmpty && words.filter { $0.at == last }.allSatisfy(\.granted)
        switch history.basis {
        case .consent:
            if words.isEmpty {
                wrong.insert("noConsent")
            } else if !isGranted {
                wrong.insert("consentWithdrawn")
            } else if let minutes = history.lastsMinutes, let last,
                now.milliseconds - last.milliseconds >= Int64(minutes) * 60_000
            {
                wrong.insert("consentExpired")
            }
        case .legitimateInterest: if !words.isEmpty, !isGranted { wrong.insert("objected") }
        case .contract, nil: break
        }
        if history.needsProfiling, history.basis != nil {
            if words.isEmpty {
                wrong.insert("noConsent")
            } else if !isGranted {
                wrong.insert("consentWithdrawn")
            }
        }
        var seen: [Int: Instant] = [:]
        var blocks: [Int: [(purpose: String?, isOverruled: Bool)]] = [:]
        var failures = 0
        var lastFailure: Instant?
        for (at, event) in past {
            switch event {
            case .contactSeen(let contact): seen[contact] = at
            case .suppressed(let contact, let purpose, let reason):
                // By a later grant, where the person themselves had said no.
                let isOverruled = reason == .unsubscribed && isGranted && (last ?? at) > at
                blocks[contact, default: []].append((purpose, isOverruled))
            case .unsuppressed(let contact): blocks[contact] = nil
            case .attemptFailed: (failures, lastFailure) = (failures + 1, at)
            default: break
            }
        }
        let usable = seen.filter { Self.isValid[$0.key] }
        if seen.isEmpty {
            wrong.insert("noAddress")
        } else if usable.isEmpty {
            wrong.insert("invalidAddress")
        }
        let newest = usable.values.max()
        let best = usable.filter { $0.value == newest }.keys.min()
        if let best,
            (blocks[best] ?? []).contains(where: {
                $0.purpose == nil || $0.purpose == "marketing" && !$0.isOverruled
            })
        {
            wrong.insert("suppressed")
        }
        if history.basis != .contract { wrong.formUnion(wishes(past, now)) }
        if !history.renders { wrong.insert("templateFailed") }
        let lifetime: Int64 = 3 * 86_400_000
        if now.milliseconds - Self.start.milliseconds > lifetime {
            wrong.insert("expired")
        } else {
            for (index, happened) in past.enumerated() {
                guard case .undone(let id) = happened.event,
                    now.milliseconds - happened.at.milliseconds <= lifetime
                else { continue }
                let isFollowed = past[index...].contains { later in
                    if case .followed(id) = later.event { true } else { false }
                }
                if !isFollowed { wrong.insert("hold") }
            }
        }
        if failures >= 7 { wrong.insert("attemptsExhausted") }
        if wrong.isEmpty, let lastFailure {
            let earliest = lastFailure.milliseconds + (60_000 << (2 * (failures - 1))) * 4 / 5
            let latest = lastFailure.milliseconds + (60_000 << (2 * (failures - 1))) * 6 / 5
            if now.milliseconds < earliest { wrong.insert("retry") }
            if now.milliseconds >= earliest, now.milliseconds < latest { wrong.insert("retry or send") }
        }
        return wrong
    }

    /// What the wishes of the person have against it.
    private func wishes(_ past: [(at: Instant, event: Event)], _ now: Instant) -> Set<String> {
        var wrong: Set<String> = []
        let refusals = past.compactMap {
            if case .refusedChannel(_, let isRefused) = $0.event { ($0.at, isRefused) } else { nil }
        }
        let last = refusals.map(\.0).max()
        if refusals.contains(where: { $0.0 == last && $0.1 }) { wrong.insert("channelRefused") }
        let said = past.compactMap {
            if case .wished(_, let wish, let isGranted) = $0.event { ($0.at, wish, isGranted) } else { nil }
        }
        let newest = said.map(\.0).max()
        let standing = [ContactFrequency.monthly, .weekly, .daily].first { wish in
            let words = said.filter { $0.0 == newest && $0.1 == wish }
            return !words.isEmpty && words.allSatisfy(\.2)
        }
        let sent = past.last { if case .sent = $0.event { true } else { false } }?.at
        let hours: Int64? =
            switch standing {
            case .daily: 24
            case .weekly: 168
            case .monthly: 720
            case nil: nil
            }
        if let hours, let sent, now.milliseconds - sent.milliseconds < hours * 3_600_000 {
            wrong.insert("tooFrequent")
        }
        return wrong
    }

    @Test("the decision agrees with the oracle on random histories, and repeats from its evidence")
    func random() throws {
        var generator = seededGenerator("send decisions")
        var (sent, held) = (0, 0)
        for _ in 0..<4_000 {
            let history = try history(&generator)
            let now = Self.start + .minutes(Int.random(in: 0...5_000, using: &generator))
            let facts = facts(history, at: now)
            let decision = SendDecision.decide(facts)
            let wrong = oracle(history, at: now)
            switch decision {
            case .send(let contact, _):
                #expect(wrong.isSubset(of: ["retry or send"]), "\(wrong)")
                #expect(Self.isValid[Int(contact) ?? 2])
                sent += 1
            case .hold(let id):
                #expect(wrong.contains("hold") && !wrong.contains("erased"), "\(wrong)")
                #expect(facts.unmerges.contains { $0.mergeID == id && !$0.isFollowed })
                held += 1
            case .retry(let at):
                #expect(wrong.isSubset(of: ["retry", "retry or send"]) && !wrong.isEmpty, "\(wrong)")
                #expect(at > now)
            case .doNotSend(let reason):
                #expect(wrong.contains(reason.rawValue), "\(reason), but \(wrong)")
                #expect(!wrong.contains("hold") || reason == .erased, "\(reason), but \(wrong)")
            }
            let again = try SendFacts(json: try JSONParser.parse(facts.json.compact))
            #expect(SendDecision.decide(again) == decision)
        }
        #expect(sent > 100 && held > 100)
    }

    @Test("of a grant and a withdrawal at the same instant the withdrawal counts")
    func tie() throws {
        var history = History(id: MessageID(UUIDv7.make(at: Self.start)))
        history.basis = .consent
        history.events = [
            (Self.start, .contactSeen(0)), (Self.start, .consent(profile: 0, granted: true)),
            (Self.start, .consent(profile: 1, granted: false)),
        ]
        #expect(SendDecision.decide(facts(history, at: Self.start)) == .doNotSend(.consentWithdrawn))
    }

    @Test("retries come later and later, spread by the message, and end")
    func schedule() throws {
        let ids = (0..<50).map { _ in MessageID(UUIDv7.make(at: Self.start)) }
        for failed in 1...6 {
            let delays = ids.compactMap { RetrySchedule.next(after: failed, last: Self.start, of: $0) }.map {
                $0 - Self.start
            }
            let base = Duration.minutes(1 << (2 * (failed - 1)))
            #expect(delays.count == 50)
            #expect(delays.allSatisfy { $0 >= base * 4 / 5 && $0 <= base * 6 / 5 })
            #expect(Set(delays).count > 10)
        }
        #expect(RetrySchedule.next(after: 7, last: Self.start, of: ids[0]) == nil)
    }

    @Test("a server's no to the recipient is final, to us or for now it isn't")
    func verdicts() {
        let id = MessageID(UUIDv7.make(at: Self.start))
        func verdict(_ outcome: SMTPOutcome, attempt: Int = 1) -> AttemptVerdict {
            AttemptVerdict.of(outcome, attempt: attempt, message: id, now: Self.start)
        }
        #expect(verdict(.accepted(reply: "2.0.0 queued")) == .delivered)
        #expect(
            verdict(.refused(.recipient, code: 550, reply: "5.1.1 no such user"))
                == .bounced(isAddressDead: true))
        #expect(
            verdict(.refused(.recipient, code: 550, reply: "5.7.1 blocked")) == .bounced(isAddressDead: false)
        )
        #expect(verdict(.refused(.recipient, code: 550, reply: "unknown")) == .bounced(isAddressDead: true))
        #expect(verdict(.refused(.data, code: 554, reply: "spam")) == .bounced(isAddressDead: false))
        for outcome in [
            SMTPOutcome.refused(.recipient, code: 451, reply: "greylisted"),
            .refused(.sender, code: 550, reply: "who?"),
            .refused(.connection, code: 535, reply: "login"), .unreachable("timeout"),
        ] {
            guard case .retry = verdict(outcome) else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(verdict(outcome, attempt: 7) == .failed)
        }
    }
}
