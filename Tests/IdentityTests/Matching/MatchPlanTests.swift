import Models
import Testing

@testable import IdentityDomain

@Suite("What follows from pairs")
struct MatchPlanTests {
    private func pair(_ a: Int, _ b: Int, _ weight: Double) -> MatchProposal {
        MatchProposal(
            a: a, b: b, weight: weight,
            verdict: MatchPolicy.standard.verdict(Logarithm.probability(ofWeight: weight)))
    }

    private func plan(
        _ pairs: [MatchProposal], people: Int, groups: [Int]? = nil, known: Set<Int> = [],
        rejected: [(Int, Int)] = [], separated: [(Int, Int)] = [], profiles: Int? = nil,
        automatic: Bool = true
    ) -> MatchPlan {
        MatchPlan(
            pairs, groups: groups ?? Array(repeating: 0, count: people),
            MatchPlan.Circumstances(
                known: (0..<people).map(known.contains), rejected: rejected, separated: separated,
                profiles: profiles),
            automatic: automatic)
    }

    private func text(_ plan: MatchPlan) -> [String] {
        plan.steps.map { "\($0.kind.rawValue) \($0.a)-\($0.b)" + ($0.doubt.map { " \($0.rawValue)" } ?? "") }
    }

    @Test("people are joined best pair first, with an edge less than there are records")
    func forest() {
        let found = plan([pair(0, 1, 20), pair(1, 2, 18), pair(0, 2, 15), pair(3, 4, 9)], people: 5)
        #expect(text(found) == ["merge 0-1", "merge 1-2", "merge 3-4"])
        let asked = plan([pair(0, 1, 20), pair(1, 2, 3)], people: 3, automatic: false)
        #expect(text(asked) == ["review 0-1", "review 1-2"])
    }

    @Test("of two people one question is asked, also when many of their records look alike")
    func oneQuestion() {
        let found = plan(
            [pair(0, 1, 20), pair(2, 3, 20), pair(1, 2, 4), pair(0, 3, 3), pair(0, 2, 2)], people: 4)
        #expect(text(found) == ["merge 0-1", "merge 2-3", "review 1-2"])
    }

    @Test("two whom somebody has said to be two are not joined by way of a third")
    func rejected() {
        let pairs = [pair(0, 2, 20), pair(1, 2, 18), pair(0, 1, 10)]
        let found = plan(pairs, people: 3, rejected: [(0, 1)])
        #expect(text(found) == ["merge 0-2"])
        #expect(found.passedOver == 1)
    }

    @Test("two whose merge was undone are parted; evidence for it is left to be reported there")
    func separated() {
        let found = plan([pair(0, 2, 20), pair(1, 2, 18), pair(1, 3, 2)], people: 4, separated: [(0, 1)])
        #expect(text(found) == ["merge 0-2", "merge 1-2", "review 1-3"])
        #expect(text(plan([pair(0, 1, 3)], people: 2, separated: [(0, 1)])).isEmpty)
    }

    @Test("somebody is asked of two with a userId each, and of what their groups speak against")
    func doubts() {
        let found = plan(
            [pair(0, 1, 20), pair(1, 2, 18), pair(3, 4, 9)], people: 5, groups: [0, 0, 0, 3, 4],
            known: [0, 2])
        #expect(text(found) == ["merge 0-1", "review 1-2 bothKnown", "review 3-4 contradicted"])
    }

    @Test("records are joined from the profiles on, and of records alone somebody is asked")
    func records() {
        let found = plan(
            [pair(2, 3, 30), pair(3, 4, 25), pair(0, 4, 20), pair(5, 6, 15), pair(0, 1, 12), pair(1, 6, 3)],
            people: 7, profiles: 2)
        #expect(
            text(found) == [
                "merge 0-1", "merge 0-4", "merge 3-4", "merge 2-3", "review 5-6 noProfile", "review 1-6",
            ])
        // Two profiles that records join are joined by way of them.
        let across = plan([pair(0, 2, 20), pair(2, 3, 18), pair(1, 3, 16)], people: 4, profiles: 2)
        #expect(text(across) == ["merge 0-2", "merge 1-3", "merge 2-3"])
        let apart = plan([pair(0, 2, 20), pair(1, 2, 16)], people: 3, known: [0, 1], profiles: 2)
        #expect(text(apart) == ["merge 0-2", "review 1-2 bothKnown"])
    }

    @Test("whatever the pairs: nobody rejected, parted or known twice is joined, and nothing is asked twice")
    func properties() {
        var generator = seededGenerator()
        for _ in 0..<300 {
            let people = Int.random(in: 2...14, using: &generator)
            func couples(_ most: Int) -> [(Int, Int)] {
                (0..<Int.random(in: 0...most, using: &generator)).compactMap { _ in
                    let (a, b) = (
                        Int.random(in: 0..<people, using: &generator),
                        Int.random(in: 0..<people, using: &generator)
                    )
                    return a == b ? nil : (min(a, b), max(a, b))
                }
            }
            let pairs = couples(40).map { pair($0, $1, Double(Int.random(in: 0...20, using: &generator))) }
                .sorted { $0.weight > $1.weight }
            let profiles = Int.random(in: 0...people, using: &generator)
            // Only profiles were ever merged.
            let (rejected, separated) = (couples(4), couples(4).filter { $0.1 < profiles })
            let known = Set((0..<people).filter { _ in Int.random(in: 0..<4, using: &generator) == 0 })
            let found = plan(
                pairs, people: people, known: known, rejected: rejected, separated: separated,
                profiles: profiles)
            var owner = Array(0..<people)
            var isAnchored = (0..<people).map { $0 < profiles }
            func apart(_ a: Int, _ b: Int, _ list: [(Int, Int)]) -> Bool {
                list.contains { Set([owner[$0.0], owner[$0.1]]) == Set([a, b]) }
            }
            var asked: Set<[Int]> = []
            // Of records alone one question after the other makes one person, so they count as one from there on.
            let floating = found.steps.filter { $0.doubt == .noProfile }
            let merges = found.steps.filter { $0.kind == .merge }
            for step in merges + floating
                + found.steps.filter({ $0.kind == .review && $0.doubt != .noProfile })
            {
                let (a, b) = (owner[step.a], owner[step.b])
                #expect(a != b)
                if step.doubt == .noProfile {
                    #expect(!isAnchored[a] && !isAnchored[b] && !apart(a, b, rejected))
                    for index in owner.indices where owner[index] == b { owner[index] = a }
                    continue
                }
                if step.kind == .merge, apart(a, b, separated) { continue }
                if step.kind == .merge {
                    // Whoever carries it out finds a profile on either side.
                    #expect(isAnchored[a] || isAnchored[b])
                    isAnchored[a] = true
                    #expect(!apart(a, b, rejected))
                    for index in owner.indices where owner[index] == b { owner[index] = a }
                    #expect(owner.indices.filter { owner[$0] == a && known.contains($0) }.count <= 1)
                } else {
                    #expect(!apart(a, b, rejected) && !apart(a, b, separated))
                    #expect(asked.insert([min(a, b), max(a, b)]).inserted)
                }
            }
            // And nothing that was found goes missing.
            for pair in pairs where pair.verdict != .reject {
                let (a, b) = (owner[pair.a], owner[pair.b])
                let isAnswered = a == b || apart(a, b, rejected) || apart(a, b, separated)
                #expect(isAnswered || asked.contains([min(a, b), max(a, b)]))
            }
        }
    }
}

@Suite("Where fields are found")
struct MatchMappingTests {
    @Test("of the sources of a field the first with a value counts, words and paths too")
    func sources() throws {
        let mapping = try MatchMapping(MatchMapping.standardSources)
        let values = try #require(
            mapping.values(
                traits: [
                    "name": "  Anna   Maria Schmidt ", "address": ["city": "Bern", "postalCode": 3011],
                    "city": "Basel", "phone": .null, "mobile": "079 123", "gender": "", "birthday": true,
                ], identifiers: MatchIdentifiers([Identifier(.email, "anna@x.org")].compactMap(\.self))))
        let found = Dictionary(uniqueKeysWithValues: zip(mapping.columns.map(\.field), values))
        #expect(found[.givenName] == "Anna")
        #expect(found[.surname] == "Schmidt")
        #expect(found[.city] == "Bern")
        #expect(found[.postcode] == "3011")
        #expect(found[.phone] == "079 123")
        #expect(found[.email] == "anna@x.org")
        #expect(found[.sex] == .some(nil))
        #expect(found[.dateOfBirth] == .some(nil))
        #expect(found[.address] == .some(nil))
    }

    @Test(
        "the number that somebody is known by counts before one that is said of them, and as an address does")
    func phone() throws {
        let mapping = try MatchMapping(MatchMapping.standardSources)
        let column = try #require(mapping.columns.firstIndex { $0.field == .phone })
        let known = MatchIdentifiers([
            Identifier(.phone, normalised: "+41791234567"), Identifier(.phone, normalised: "+41790000000"),
        ])
        func value(_ traits: [String: JSON], _ identifiers: MatchIdentifiers) throws -> String? {
            try #require(mapping.values(traits: traits, identifiers: identifiers))[column]
        }
        #expect(try value(["phone": "044 111 22 33"], known) == "+41791234567")
        #expect(try value(["phone": "044 111 22 33"], .none) == "044 111 22 33")
        #expect(mapping.values(traits: [:], identifiers: known) != nil)
        let chosen = try MatchMapping([.phone: ["mobile", "identifiers.phone"], .surname: ["lastName"]])
        let values = chosen.values(traits: ["lastName": "Smith", "mobile": "1234"], identifiers: known)
        #expect(values == ["Smith", "1234"])
    }

    @Test("a record with nothing that tells people apart is none")
    func nothing() throws {
        let mapping = try MatchMapping(MatchMapping.standardSources)
        #expect(mapping.values(traits: ["country": "CH", "plan": "pro"], identifiers: .none) == nil)
        #expect(
            mapping.values(traits: ["name": "Madonna"], identifiers: .none)?.compactMap(\.self) == ["Madonna"]
        )
    }

    @Test("what is written is read back, and what is wrong is named")
    func json() throws {
        let written: JSON = ["surname": ["lastName", "name#last"], "dateOfBirth": ["birthday"]]
        #expect(try MatchMapping(json: written, at: "fields").json == written)
        for wrong: JSON in [
            [:], ["sur": ["x"]], ["surname": []], ["surname": [1]], ["surname": "lastName"],
            ["sex": ["gender"]], [1],
        ] {
            #expect(throws: DecodingProblem.self) { try MatchMapping(json: wrong, at: "fields") }
        }
    }
}
