import IdentityDomain
import Models
import Testing

@Suite("Matching records")
struct RecordMatchingTests {
    @Test("the weights that were learned are those that the records were made with")
    func learns() throws {
        let people = MadeUpPeople(350)
        let matching = RecordMatching(try people.table(), workers: .cores)
        for (column, wrong) in MadeUpPeople.wrong.enumerated() {
            let m = matching.weights.m[column][1]
            #expect(abs(m - (1 - wrong)) < 0.06, "\(MadeUpPeople.fields[column]): \(m)")
        }
        let pairs = 700.0 * 699 / 2
        #expect(abs(matching.weights.prior * pairs - 350) < 30)
        let quality = MatchQuality(matching.groups(), people.truth)
        #expect(quality.f1 > 0.97, "\(quality)")
    }

    @Test("what a pair's fields add comes to its weight")
    func sums() throws {
        let people = MadeUpPeople(150, households: true)
        let matching = RecordMatching(try people.table())
        let proposals = matching.proposals()
        #expect(!proposals.isEmpty)
        for proposal in proposals {
            let explanation = matching.explain(proposal.a, proposal.b)
            #expect(abs(explanation.weight - proposal.weight) < 0.001)
            #expect(explanation == matching.explain(proposal.b, proposal.a))
            #expect(explanation.shared <= 0)
            for evidence in explanation.fields where evidence.level != nil {
                #expect(evidence.m > 0 && evidence.u > 0 && evidence.m <= 1 && evidence.u <= 1)
            }
        }
    }

    @Test("an explanation says the same in JSON")
    func explains() throws {
        let table = MatchTable(
            try MatchSchema([.surname, .city]), columns: [["smith", "smith"], ["leeds", nil]])
        let json = RecordMatching(table).explain(0, 1).json
        let fields = try #require(json["fields"]?.array)
        #expect(fields.count == 2)
        #expect(fields[0]["field"]?.string == "surname")
        #expect(fields[0]["level"]?.string == "equal")
        #expect(fields[1]["level"]?.isNull == true)
    }

    @Test("blocks find what comparing every pair finds")
    func blocks() throws {
        let people = MadeUpPeople(200, records: 3, households: true, seed: 5)
        let table = try people.table()
        let every = Set(
            RecordMatching(table, workers: .cores, comparing: .every).proposals().map { [$0.a, $0.b] })
        let blocked = RecordMatching(table, workers: .cores, comparing: .blocked)
        let found = Set(blocked.proposals().map { [$0.a, $0.b] })
        #expect(Double(every.intersection(found).count) > 0.99 * Double(every.count))
        #expect(blocked.compared < table.count * (table.count - 1) / 4)
    }

    @Test("the result is the same again, and with any number of workers")
    func repeats() throws {
        let table = try MadeUpPeople(150, records: 3, seed: 9).table()
        let alone = RecordMatching(table, comparing: .blocked)
        let together = RecordMatching(table, workers: .cores, comparing: .blocked)
        #expect(alone.weights == together.weights)
        #expect(alone.proposals() == together.proposals())
        #expect(alone.groups() == together.groups())
    }

    @Test("a family in one house stays several people")
    func households() throws {
        let people = MadeUpPeople(300, households: true, seed: 3)
        let quality = MatchQuality(RecordMatching(try people.table(), workers: .cores).groups(), people.truth)
        #expect(quality.precision > 0.98 && quality.recall > 0.9, "\(quality)")
    }

    @Test("given name and surname in each other's place are seen for what they are")
    func swapped() throws {
        var people = MadeUpPeople(200, missing: 0, seed: 4)
        for record in stride(from: 1, to: 100, by: 2) {
            (people.columns[0][record], people.columns[1][record]) = (
                people.columns[1][record], people.columns[0][record]
            )
        }
        let matching = RecordMatching(try people.table())
        let clean = try #require(
            (0..<50).map { $0 * 2 }.first { (record: Int) -> Bool in
                let given = people.columns[0]
                let surnames = people.columns[1]
                return given[record] == surnames[record + 1] && surnames[record] == given[record + 1]
            })
        #expect(matching.explain(clean, clean + 1).fields[0].level == "swapped")
        #expect(MatchQuality(matching.groups(), people.truth).f1 > 0.96)
    }

    @Test("a weak link between two people does not join them")
    func chains() throws {
        var people = MadeUpPeople(100, records: 4, missing: 0, seed: 6)
        // One record of the second person has the first one's surname, phone and place.
        for field in [1, 3, 4, 5] { people.columns[field][4] = people.columns[field][0] }
        let groups = RecordMatching(try people.table(), workers: .cores).groups()
        #expect(groups[0] != groups[5] && groups[1] != groups[6])
    }

    @Test("no record, one record and records without a value are matched with nobody")
    func nothing() throws {
        let schema = try MatchSchema([.surname, .email])
        #expect(RecordMatching(MatchTable(schema, columns: [[], []])).groups() == [])
        #expect(RecordMatching(MatchTable(schema, columns: [["a"], ["b"]])).groups() == [0])
        let empty = [String?](repeating: nil, count: 3)
        let matching = RecordMatching(MatchTable(schema, columns: [empty, empty]), comparing: .blocked)
        #expect(matching.groups() == [0, 1, 2])
        #expect(matching.proposals().isEmpty)
    }

    @Test("one person with more equal records than a block may have is one person")
    func equal() throws {
        var people = MadeUpPeople(900, seed: 11)
        let somebody: [String?] = ["Ada", "Lovelace", "1815-12-10", "London", "12345", "0123456789"]
        for _ in 0..<80 {
            for column in people.columns.indices { people.columns[column].append(somebody[column]) }
        }
        let matching = RecordMatching(try people.table(), workers: .cores, comparing: .blocked)
        let groups = matching.groups()
        #expect(Set(groups[1_800...]).count == 1)
        #expect(Set(groups[..<1_800]).count > 850)
        #expect(matching.compared < 200_000)
    }

    @Test("values of a megabyte, of control characters and of no script at all do no harm")
    func hostile() throws {
        let long = String(repeating: "abc ", count: 250_000)
        let values: [String?] = [
            long, long, "\u{0}\u{1}\u{7F}", "\u{202E}\u{FEFF}", "李小龍", "李小龙", "🙂🙂",
            String(repeating: "e\u{301}", count: 5_000),
            String(repeating: "9", count: 400), "-", "\\N", "1' OR 1=1 --",
        ]
        let fields = MatchField.allCases.filter { $0 != .sex && $0 != .country && $0 != .state }.prefix(16)
        let table = MatchTable(try MatchSchema(Array(fields)), columns: fields.map { _ in values })
        for choice in [RecordMatching.Choice.every, .blocked] {
            let matching = RecordMatching(table, comparing: choice)
            #expect(matching.groups().count == values.count)
            for a in values.indices {
                for b in values.indices where a != b { #expect(matching.explain(a, b).weight.isFinite) }
            }
        }
    }

    @Test("columns that tell nobody apart are refused")
    func schema() {
        #expect(throws: MatchSchemaProblem.noFields) { try MatchSchema([]) }
        #expect(throws: MatchSchemaProblem.onlyCategories) { try MatchSchema([.sex, .state]) }
        #expect(throws: MatchSchemaProblem.tooManyFields(limit: 16)) {
            try MatchSchema(Array(repeating: .text, count: 17))
        }
    }

    @Test("thresholds decide between merging, asking and leaving be, and are checked")
    func policy() throws {
        let policy = try MatchPolicy(merge: 0.9, review: 0.4)
        #expect(policy.verdict(0.95) == .merge)
        #expect(policy.verdict(0.5) == .review)
        #expect(policy.verdict(0.1) == .reject)
        #expect(throws: MatchPolicyProblem.wrongOrder) { try MatchPolicy(merge: 0.5, review: 0.6) }
        #expect(throws: MatchPolicyProblem.notAProbability("merge")) { try MatchPolicy(merge: 1.5) }
        #expect(try MatchPolicy(json: ["merge": 0.9, "review": 0.4]) == policy)
        #expect(throws: DecodingProblem.self) { try MatchPolicy(json: ["merge": 0.2, "review": 0.4]) }
    }
}
