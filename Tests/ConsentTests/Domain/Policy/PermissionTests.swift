import ConsentDomain
import Models
import Testing

@Suite("What a policy permits")
struct PermissionTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private struct Case {
        var policy = ConsentPolicy()
        var words: [String: ConsentWord] = [:]
        var use = ConsentUse()
        var now: Instant
        /// Minutes that the consent of each purpose lasts.
        var lasts: [String: Int64] = [:]
    }

    private func randomCase(_ generator: inout SeededGenerator) -> Case {
        let ids = ["a", "b", "c", "d"]
        let places = ["CH", "DE", "US-CA", "US", "EU", "EEA", "NO"].compactMap { Jurisdiction($0) }
        var made = Case(now: start + .minutes(Int.random(in: 0...20, using: &generator)))
        for id in ids where Int.random(in: 0..<5, using: &generator) > 0 {
            let basis = LegalBasis.allCases.randomElement(using: &generator) ?? .consent
            var purpose = Purpose(id: id, name: id, legalBasis: basis, textVersion: "1")
            if Int.random(in: 0..<4, using: &generator) == 0 { purpose.channels = ["email"] }
            if Int.random(in: 0..<4, using: &generator) == 0 {
                purpose.jurisdictions = Array(places.shuffled(using: &generator).prefix(2))
            }
            if basis == .consent, Bool.random(using: &generator) {
                let minutes = Int64.random(in: 1...12, using: &generator)
                purpose.lasts = ConsentTerm("PT\(minutes)M")
                made.lasts[id] = minutes
            }
            made.policy.purposes[id] = purpose
        }
        for id in ids where Int.random(in: 0..<4, using: &generator) > 0 {
            made.words[id] = ConsentWord(
                Bool.random(using: &generator) ? .granted : .withdrawn,
                at: start + .minutes(Int.random(in: 0...15, using: &generator)))
        }
        let known = made.policy.purposes.keys.sorted()
        for kind in [ConsentPolicy.Kind.journeys, .channels, .segments] where !known.isEmpty {
            for name in ["x", "email", "*"] where Int.random(in: 0..<4, using: &generator) == 0 {
                made.policy.requires[kind, default: [:]][name] = .init(
                    known.shuffled(using: &generator).prefix(Int.random(in: 1...2, using: &generator)))
            }
        }
        made.use = ConsentUse(
            purposes: Array(ids.shuffled(using: &generator).prefix(Int.random(in: 0...2, using: &generator))),
            things: Bool.random(using: &generator) ? [.init(.journeys, "x")] : [.init(.segments, "y")],
            channel: [nil, "email", "sms"].randomElement(using: &generator) ?? nil,
            jurisdiction: Int.random(in: 0..<3, using: &generator) == 0
                ? nil : places.randomElement(using: &generator))
        return made
    }

    /// Everything that speaks against a use, asked one by one in other words.
    private func objections(_ made: Case) -> Set<ConsentDenial> {
        var needed = Set(made.use.purposes)
        let named =
            made.use.things.map { ($0.kind, $0.name) } + (made.use.channel.map { [(.channels, $0)] } ?? [])
        for (kind, name) in named {
            if let own = made.policy.requires[kind]?[name] {
                needed.formUnion(own.purposes)
            } else if let all = made.policy.requires[kind]?["*"] {
                needed.formUnion(all.purposes)
            }
        }
        let covering: [String: Set<String>] = [
            "CH": ["CH"], "DE": ["DE", "EU", "EEA"], "US-CA": ["US-CA", "US"], "US": ["US"],
            "EU": ["EU", "EEA"], "EEA": ["EEA"], "NO": ["NO", "EEA"],
        ]
        var found: Set<ConsentDenial> = []
        for id in needed {
            guard let purpose = made.policy.purposes[id] else {
                found.insert(ConsentDenial(id, .purposeUnknown))
                continue
            }
            if let channel = made.use.channel, purpose.channels == ["email"], channel != "email" {
                found.insert(ConsentDenial(id, .otherChannel))
            }
            if !purpose.jurisdictions.isEmpty {
                let here = made.use.jurisdiction.map { covering[$0.code] ?? [] }
                if let here {
                    if here.isDisjoint(with: purpose.jurisdictions.map(\.code)) {
                        found.insert(ConsentDenial(id, .otherJurisdiction))
                    }
                } else {
                    found.insert(ConsentDenial(id, .jurisdictionUnknown))
                }
            }
            let word = made.words[id]
            if word?.state == .withdrawn, purpose.legalBasis != .contract {
                found.insert(ConsentDenial(id, .consentWithdrawn))
            }
            if word == nil, purpose.legalBasis == .consent {
                found.insert(ConsentDenial(id, .consentMissing))
            }
            if let word, word.state == .granted, let minutes = made.lasts[id],
                made.now.milliseconds >= word.at.milliseconds + minutes * 60_000
            {
                found.insert(ConsentDenial(id, .consentExpired))
            }
        }
        return found
    }

    @Test(
        "random policies, words and uses agree with a plain reading of the rule, and so does the excerpt that is kept"
    )
    func oracle() throws {
        var generator = seededGenerator()
        var (permitted, denied) = (0, Set<ConsentDenial.Reason>())
        for _ in 0..<20_000 {
            let made = randomCase(&generator)
            let expected = objections(made)
            let permission = permits(made.policy, made.words, made.use, now: made.now)
            switch permission {
            case .permitted:
                #expect(expected.isEmpty, "\(expected)")
                permitted += 1
            case .denied(let denial):
                #expect(expected.contains(denial), "\(denial), but \(expected)")
                denied.insert(denial.reason)
            }
            let excerpt = try ConsentPolicy(
                json: try JSONParser.parse(made.policy.excerpt(for: made.use).json.compact))
            #expect(permits(excerpt, made.words, made.use, now: made.now) == permission)
        }
        #expect(permitted > 500 && denied.count == ConsentDenial.Reason.allCases.count)
    }

    @Test("a consent counts as missing at the very instant at which it has lasted its time, and not before")
    func expiry() throws {
        var purpose = Purpose(id: "m", name: "M", legalBasis: .consent, textVersion: "1")
        purpose.lasts = ConsentTerm("P1M")
        let policy = ConsentPolicy(purposes: [purpose])
        let said = try #require(Instant(rfc3339: "2027-01-31T10:00:00.000Z"))
        let end = try #require(Instant(rfc3339: "2027-02-28T10:00:00.000Z"))
        let use = ConsentUse(purposes: ["m"])
        let words = ["m": ConsentWord(.granted, at: said)]
        #expect(permits(policy, words, use, now: end - .milliseconds(1)) == .permitted)
        #expect(permits(policy, words, use, now: end) == .denied(ConsentDenial("m", .consentExpired)))
    }

    @Test(
        "terms are read by the calendar",
        arguments: [
            ("P13M", "2026-01-31T00:00:00.000Z", "2027-02-28T00:00:00.000Z"),
            ("P1Y", "2024-02-29T12:00:00.000Z", "2025-02-28T12:00:00.000Z"),
            ("P1Y6M", "2026-08-31T00:00:00.000Z", "2028-02-29T00:00:00.000Z"),
            ("P2W", "2026-12-25T00:00:00.000Z", "2027-01-08T00:00:00.000Z"),
            ("P1M2DT3H4M5S", "2026-01-30T23:59:59.999Z", "2026-03-03T03:04:04.999Z"),
            ("P1M", "1969-12-31T23:59:59.999Z", "1970-01-31T23:59:59.999Z"),
        ])
    func terms(text: String, from: String, to: String) throws {
        let term = try #require(ConsentTerm(text))
        let instant = try #require(Instant(rfc3339: from))
        #expect(term.end(of: instant).rfc3339 == to)
        #expect(term.text == text)
    }

    @Test(
        "what is no term is none",
        arguments: [
            "", "P", "PT", "P0M", "13M", "P13", "P1.5M", "P-1M", "P1M1Y", "P1DT", "P99999D", "P1M1M", "p1m",
        ])
    func noTerms(text: String) {
        #expect(ConsentTerm(text) == nil)
    }

    @Test(
        "what is no place is none",
        arguments: ["", "ch", "CHE", "C", "US-", "US-CALI", "US-CA-LA", "EUR", "É1"])
    func noPlaces(text: String) {
        #expect(Jurisdiction(text) == nil)
    }
}
