import ConsentDomain
import Foundation
import Models
import TestSupport
import Testing

@testable import IngestionDomain

@Suite("What consent lets be stored")
struct EventStorageDecisionTests {
    private struct History {
        var said: [(purpose: String, granted: Bool, at: Instant)] = []
        var own: [String: Bool] = [:]
        var needs: [String] = []
        var otherwise = EventStorage.count
        var kind = TrackingEvent.Kind.track
        var isRuled = true
    }

    private static let ids = ["a", "b", "c"]

    private func policy(_ history: History) -> ConsentPolicy {
        var policy = ConsentPolicy(
            purposes: Self.ids.map {
                Purpose(
                    id: $0, name: $0, legalBasis: $0 == "c" ? .legitimateInterest : .consent, textVersion: "1"
                )
            })
        let name = history.kind == .track ? "Viewed" : "type:\(history.kind.rawValue)"
        policy.requires[.events] = [
            history.isRuled ? name : "Other": .init(history.needs, otherwise: history.otherwise)
        ]
        return policy
    }

    private func event(_ history: History) -> TrackingEvent {
        TrackingEvent(
            messageID: "m", kind: history.kind, name: "Viewed", anonymousID: "x", timestamp: noon,
            receivedAt: noon, sourceID: SourceID(UUIDv7.make(at: noon)),
            context: ["consent": ["categoryPreferences": .object(history.own.mapValues { .bool($0) })]])
    }

    /// Purpose by purpose, from all that was ever said.
    private func oracle(_ history: History) -> EventStorage {
        guard history.isRuled else { return .full }
        for need in history.needs {
            if history.own[need] == false { return denied(history) }
            let words = history.said.filter { $0.purpose == need }
            let latest = words.map(\.at).max()
            let isRefused = words.contains { $0.at == latest && !$0.granted }
            if isRefused { return denied(history) }
            if words.isEmpty, history.own[need] != true, need != "c" { return denied(history) }
        }
        return .full
    }

    private func denied(_ history: History) -> EventStorage {
        history.kind == .identify ? .count : history.otherwise
    }

    @Test(
        "what is said of consent is stored whatever the rule, and a no that nobody has recorded is kept of its event"
    )
    func saidOfConsent() {
        var history = History(needs: ["a"])
        var policy = policy(history)
        policy.requires[.events] = ["*": .init(["a"], otherwise: .count)]
        for name in ["Consent Withdrawn", "Unsubscribed"] {
            var event = event(history)
            event.name = name
            event.properties = ["purpose": "b"]
            #expect(EventStorageDecision.decide(EventQuestion(event), policy, known: [], now: noon) == .full)
        }
        history.own = ["a": false]
        var viewed = event(history)
        viewed.properties = ["note": "personal"]
        let withdrawn = ["a": ConsentWord(.withdrawn, at: noon)]
        let granted = ["a": ConsentWord(.granted, at: noon)]
        #expect(
            EventStorageDecision.decide(EventQuestion(viewed), policy, known: [granted], now: noon) == .count)
        #expect(EventStorageDecision.hasNews(viewed, policy, known: [granted]))
        #expect(EventStorageDecision.hasNews(viewed, policy, known: []))
        #expect(EventStorageDecision.hasNews(viewed, policy, known: [withdrawn, granted]))
        #expect(!EventStorageDecision.hasNews(viewed, policy, known: [withdrawn]))
        let alone = viewed.consentAlone
        #expect(alone.properties.isEmpty && alone.anonymousID == "x" && alone.messageID == viewed.messageID)
        #expect(EventSignals(alone, policy).said == EventSignals(viewed, policy).said)
    }

    @Test("random words, stored and in the event, agree with a plain reading of the rule")
    func random() {
        var generator = seededGenerator()
        var found: Set<EventStorage> = []
        for _ in 0..<5_000 {
            var history = History()
            history.needs = Array(
                Self.ids.shuffled(using: &generator).prefix(Int.random(in: 1...2, using: &generator)))
            history.otherwise = Bool.random(using: &generator) ? .count : .pseudonymous
            history.kind = [.track, .page, .identify].randomElement(using: &generator) ?? .track
            history.isRuled = Int.random(in: 0..<5, using: &generator) > 0
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                history.said.append(
                    (
                        Self.ids.randomElement(using: &generator) ?? "a",
                        Int.random(in: 0..<3, using: &generator) > 0,
                        noon - .seconds(Int.random(in: 0...3, using: &generator))
                    ))
            }
            for id in Self.ids where Int.random(in: 0..<3, using: &generator) == 0 {
                history.own[id] = Bool.random(using: &generator)
            }
            var words: [String: ConsentWord] = [:]
            for (purpose, granted, at) in history.said {
                let word = ConsentWord(granted ? .granted : .withdrawn, at: at)
                if words[purpose].map({ word.prevails(over: $0) }) ?? true { words[purpose] = word }
            }
            let storage = EventStorageDecision.decide(
                EventQuestion(event(history)), policy(history), known: words.isEmpty ? [] : [words], now: noon
            )
            #expect(storage == oracle(history), "\(history)")
            found.insert(storage)
        }
        #expect(found.count == EventStorage.allCases.count)
    }

    @Test("of two people that an event names, the no of either counts")
    func twoPeople() {
        var history = History()
        history.needs = ["a"]
        let granted = ["a": ConsentWord(.granted, at: noon)]
        func storage(_ known: [[String: ConsentWord]]) -> EventStorage {
            EventStorageDecision.decide(
                EventQuestion(event(history)), policy(history), known: known, now: noon)
        }
        #expect(storage([granted]) == .full)
        #expect(storage([granted, granted]) == .full)
        #expect(storage([granted, ["a": ConsentWord(.withdrawn, at: noon)]]) == .count)
        #expect(storage([granted, [:]]) == .count)
        #expect(storage([]) == .count)
    }

    @Test("a pseudonymous event has nothing of the planted names, addresses and numbers")
    func pseudonymous() throws {
        let marks = [
            "MARK1", "mark2@example.com", "MARK3", "MARK4", "+41 79 123 45 67", "203.0.113.77", "MARK5",
            "MARK6", "MARK7",
            "MARK8",
        ]
        let event = TrackingEvent(
            messageID: "m", kind: .track, name: "Product Viewed", userID: marks[0], anonymousID: marks[2],
            groupID: marks[3], timestamp: noon, receivedAt: noon, sourceID: SourceID(UUIDv7.make(at: noon)),
            properties: [
                "sku": "MS-1", "price": "12.50", "email": .string(marks[1]), "note": .string(marks[1]),
                "customer": ["firstName": .string(marks[6]), "tier": "gold"], "phone": .string(marks[4]),
                "contact": .string(marks[4]), "products": [["sku": "MS-1", "orderId": .string(marks[7])]],
            ],
            traits: ["city": .string(marks[8])],
            context: [
                "ip": .string(marks[5]), "userAgent": .string(marks[9]),
                "externalIds": [["id": .string(marks[0])]],
                "page": ["url": .string("https://example.com/?q=\(marks[1])"), "path": "/shoes"],
                "campaign": ["source": "news", "gclid": .string(marks[3])],
            ])
        let kept = event.pseudonymous(as: "p")
        let text = kept.json.compact
        for mark in marks { #expect(!text.contains(mark), "\(text)") }
        #expect(kept.anonymousID == "p")
        #expect(kept.properties["sku"]?.string == "MS-1")
        #expect(kept.properties[path: "products.0.sku"]?.string == "MS-1")
        #expect(kept.context[path: "page.path"]?.string == "/shoes")
        #expect(kept.context[path: "campaign.source"]?.string == "news")
    }
}

extension [String: JSON] {
    fileprivate subscript(path path: String) -> JSON? { JSON.object(self)[path: path] }
}

/// A generator seeded by `MARTLET_SEED`, or anew; the seed is printed so that a failure can be repeated.
func seededGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 1...1 << 40)
    print("\(test): MARTLET_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}
