import ConsentDomain
import Models
import TestSupport
import Testing

@testable import IngestionDomain

@Suite("What consent takes off events")
struct UnpermittedPartsTests {
    private static let purposes = ["a", "b", "c"]
    private static let kinds: [Identifier.Kind] = [.userID, .anonymousID, .email, .phone]
    private static let traits = ["email", "phone", "plan", "city"]

    /// Everything that an event can say has a text of its own, so that what is left can be looked for.
    private struct History: CustomStringConvertible {
        var identifiers: [String: [String]] = [:]
        var traits: [String: [String]] = [:]
        /// Of each person whom it names, what they said last.
        var people: [[String: Bool]] = []
        var kind = TrackingEvent.Kind.identify
        var isAboutConsent = false

        var description: String {
            "\(kind) about consent \(isAboutConsent), identifiers \(identifiers), traits \(traits), people \(people)"
        }
    }

    private func policy(_ history: History) -> ConsentPolicy {
        var policy = ConsentPolicy(
            purposes: Self.purposes.map {
                Purpose(
                    id: $0, name: $0, legalBasis: $0 == "c" ? .legitimateInterest : .consent, textVersion: "1"
                )
            })
        policy.requires[.identifiers] = history.identifiers.mapValues { .init($0) }
        policy.requires[.traits] = history.traits.mapValues { .init($0) }
        return policy
    }

    private func event(_ history: History) -> TrackingEvent {
        var event = TrackingEvent(
            messageID: "m", kind: history.kind, name: history.isAboutConsent ? "Unsubscribed" : "Viewed",
            userID: "MARK-userId", anonymousID: "MARK-anonymousId", timestamp: noon, receivedAt: noon,
            sourceID: SourceID(UUIDv7.make(at: noon)))
        let said: [String: JSON] = [
            "email": "MARK-email@example.com", "phone": "+41791234567", "plan": "MARK-plan",
            "city": "MARK-city",
        ]
        event.traits = said
        event.context["traits"] = .object(said)
        event.context["device"] = ["id": "MARK-device", "model": "Pixel"]
        event.context["externalIds"] = [["type": "crm:contact", "id": "MARK-crm"]]
        return event
    }

    private static let marks = [
        "userId": "MARK-userId", "anonymousId": "MARK-anonymousId", "email": "MARK-email",
        "phone": "+41791234567",
        "plan": "MARK-plan", "city": "MARK-city", "crm:contact": "MARK-crm", "deviceId": "MARK-device",
    ]

    /// Purpose by purpose and person by person.
    private func isPermitted(_ needs: [String]?, _ history: History) -> Bool {
        for person in history.people.isEmpty ? [[:]] : history.people {
            for need in needs ?? [] where !(person[need] ?? (need == "c")) { return false }
        }
        return true
    }

    /// The names of what has to be gone.
    private func oracle(_ history: History) -> Set<String> {
        var gone: Set<String> = []
        for (name, needs) in history.traits where !isPermitted(needs, history) { gone.insert(name) }
        guard !history.isAboutConsent else { return gone }
        for (name, needs) in history.identifiers where !isPermitted(needs, history) { gone.insert(name) }
        return gone
    }

    @Test("random events keep what every one of their people permits, and nothing else")
    func random() throws {
        var generator = seededGenerator()
        var (whole, partly, nobody) = (0, 0, 0)
        for _ in 0..<3_000 {
            var history = History()
            history.kind = [.identify, .track, .page].randomElement(using: &generator) ?? .identify
            history.isAboutConsent = history.kind == .track && Bool.random(using: &generator)
            func needs() -> [String] {
                Array(
                    Self.purposes.shuffled(using: &generator).prefix(Int.random(in: 1...2, using: &generator))
                )
            }
            for kind in Self.kinds.map(\.rawValue) + ["crm:contact", "deviceId"]
            where Int.random(in: 0..<3, using: &generator) == 0 { history.identifiers[kind] = needs() }
            for trait in Self.traits where Int.random(in: 0..<3, using: &generator) == 0 {
                history.traits[trait] = needs()
            }
            for _ in 0..<Int.random(in: 0...2, using: &generator) {
                var person: [String: Bool] = [:]
                for purpose in Self.purposes where Int.random(in: 0..<3, using: &generator) > 0 {
                    person[purpose] = Int.random(in: 0..<3, using: &generator) > 0
                }
                history.people.append(person)
            }
            let event = event(history)
            let parts = UnpermittedParts(
                of: EventQuestion(event), policy(history),
                known: history.people.map {
                    $0.mapValues { ConsentWord($0 ? .granted : .withdrawn, at: noon - .days(1)) }
                }, now: noon)
            let gone = oracle(history)
            #expect(parts.isEmpty == gone.isEmpty, "\(history)")
            guard let rest = event.without(parts) else {
                nobody += 1
                #expect(gone.isSuperset(of: ["userId", "anonymousId"]), "\(history)")
                continue
            }
            if gone.isEmpty { whole += 1 } else { partly += 1 }
            let text = rest.json.compact
            for (name, mark) in Self.marks {
                #expect(text.contains(mark) != gone.contains(name), "\(name) of \(history)")
            }
        }
        #expect(whole > 100 && partly > 100 && nobody > 20)
    }

    @Test("an alias without one of its names says nothing, and the traits of an account are nobody's")
    func others() {
        var policy = ConsentPolicy(purposes: [
            Purpose(id: "a", name: "a", legalBasis: .consent, textVersion: "1")
        ])
        policy.requires[.identifiers] = ["userId": .init(["a"])]
        policy.requires[.traits] = ["*": .init(["a"])]
        func rest(_ kind: TrackingEvent.Kind) -> TrackingEvent? {
            var event = TrackingEvent(
                messageID: "m", kind: kind, userID: "u", anonymousID: "x", previousID: "p", groupID: "g",
                timestamp: noon, receivedAt: noon, sourceID: SourceID(UUIDv7.make(at: noon)))
            event.traits = ["plan": "pro"]
            return event.without(
                UnpermittedParts(of: EventQuestion(event), policy, known: [], now: noon))
        }
        #expect(rest(.alias) == nil)
        #expect(rest(.group)?.traits == ["plan": "pro"] && rest(.group)?.userID == nil)
        #expect(rest(.identify)?.traits == [:] && rest(.identify)?.anonymousID == "x")
    }
}
