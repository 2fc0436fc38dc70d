import IdentityDomain
import Models
import Testing

@Suite("Matching one record against all")
struct MatchIndexTests {
    private func values(_ people: MadeUpPeople, _ record: Int) -> [String?] {
        people.columns.map { $0[record] }
    }

    @Test("a look-up finds whom the batch finds, at the same weight")
    func agrees() throws {
        let people = MadeUpPeople(220, records: 3, households: true, seed: 2)
        let matching = RecordMatching(try people.table(), workers: .cores)
        var index = MatchIndex(matching, workers: .cores)
        var wanted: [Int: [Int: Double]] = [:]
        for proposal in matching.proposals() {
            wanted[proposal.a, default: [:]][proposal.b] = proposal.weight
            wanted[proposal.b, default: [:]][proposal.a] = proposal.weight
        }
        var (found, all) = (0, 0)
        for record in stride(from: 0, to: people.truth.count, by: 7) {
            let answer = index.look(up: values(people, record), limit: 100)
            #expect(answer.map(\.weight) == answer.map(\.weight).sorted(by: >))
            let weights = Dictionary(uniqueKeysWithValues: answer.map { ($0.record, $0.weight) })
            for (other, weight) in wanted[record] ?? [:] {
                all += 1
                guard let here = weights[other] else { continue }
                found += 1
                #expect(abs(here - weight) < 0.001)
            }
            for each in answer { #expect(abs(each.explanation.weight - each.weight) < 0.001) }
        }
        #expect(Double(found) >= 0.99 * Double(all), "\(found) of \(all)")
    }

    @Test("a record that was added is found, and no longer when it was removed")
    func changes() throws {
        let people = MadeUpPeople(200, missing: 0)
        var index = MatchIndex(RecordMatching(try people.table()))
        let somebody = ["Wilhelmina", "Featherstone", "1951-03-30", "town Nowhere", "9999", "0555123456"]
        #expect(index.look(up: somebody).isEmpty)
        let place = index.add(somebody)
        #expect(index.count == 401)
        let misspelt = ["Wilhelmine", "Fetherstone", "1951-03-30", nil, "9999", nil]
        #expect(index.look(up: misspelt).map(\.record) == [place])
        index.remove(place)
        index.remove(place)
        index.remove(-1)
        #expect(index.look(up: misspelt).isEmpty)
        #expect(index.count == 400)
    }

    @Test("it tells about how much memory it takes, which goes with the records")
    func memory() throws {
        let (few, many) = (MadeUpPeople(150), MadeUpPeople(1_500, seed: 3))
        let small = MatchIndex(RecordMatching(try few.table(), workers: .cores))
        var large = MatchIndex(RecordMatching(try many.table(), workers: .cores))
        #expect((200...3_000).contains(small.bytes / small.count))
        #expect((200...1_500).contains(large.bytes / large.count))
        #expect(large.bytes > small.bytes * 4)
        let before = large.bytes
        for record in 0..<300 { _ = large.add(values(few, record)) }
        #expect(large.bytes > before + 300 * 50)
    }

    @Test("with nobody or somebody to learn from there are weights as well", arguments: [0, 1])
    func hardlyAnybody(count: Int) throws {
        let somebody = ["Wilhelmina", "Featherstone", "1951-03-30", "town Nowhere", "9999", "0555123456"]
        let table = MatchTable(
            try MatchSchema(MadeUpPeople.fields),
            columns: somebody.map { Array(repeating: $0, count: count) })
        let matching = RecordMatching(table)
        #expect(matching.proposals().isEmpty)
        #expect(matching.groups() == Array(0..<count))
        var index = MatchIndex(matching)
        let place = index.add(somebody)
        let found = index.look(up: somebody, policy: try MatchPolicy(merge: 1, review: 0.000_001))
        #expect(found.contains { $0.record == place && $0.weight.isFinite && $0.explanation.weight.isFinite })
    }

    @Test("a look-up leaves nothing behind")
    func noTrace() throws {
        let people = MadeUpPeople(200)
        var index = MatchIndex(RecordMatching(try people.table()))
        let before = (0..<20).map { index.look(up: values(people, $0)) }
        for number in 0..<50 {
            _ = index.look(up: ["New \(number)", "Name \(number)", "1999-11-1\(number % 10)"])
        }
        _ = index.look(up: [])
        _ = index.look(up: [String(repeating: "x", count: 1_000_000)])
        #expect((0..<20).map { index.look(up: values(people, $0)) } == before)
    }

    @Test("records that were added one by one are found like those that were there")
    func incremental() throws {
        let people = MadeUpPeople(300, missing: 0, seed: 8)
        let known = people.columns.map { Array($0.prefix(400)) }
        let table = MatchTable(try MatchSchema(MadeUpPeople.fields), columns: known)
        var index = MatchIndex(RecordMatching(table))
        for record in 400..<600 { #expect(index.add(values(people, record)) == record) }
        var found = 0
        for record in stride(from: 401, to: 600, by: 2) {
            let answer = index.look(up: values(people, record))
            if answer.contains(where: { $0.record == record - 1 }) { found += 1 }
        }
        #expect(found > 90, "\(found) of 100")
    }
}
