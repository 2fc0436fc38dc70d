import IdentityDomain
import Models
import Testing

@Suite("A rehearsal of the policy against what happened")
struct PolicyRehearsalTests {
    private struct Told {
        let event: TrackingEvent
        let arrivedUnder: ProfileID
    }

    /// Events as production decides them, with merges taken back in between at random, and some allowed again.
    private func history(
        undos: Int, using generator: inout SeededGenerator
    ) throws -> (people: RememberedPeople, told: [Told]) {
        var people = RememberedPeople()
        var told: [Told] = []
        for number in 0..<60 {
            let event = TrackingEvent.random(number, using: &generator)
            var resolver = people.resolver(for: [event])
            if let placement = try resolver.resolve(event) {
                told.append(Told(event: event, arrivedUnder: placement.arrivedUnder))
            }
            people.take(resolver)
            guard undos > 0, number % (60 / undos) == 0 else { continue }
            let merge = Int.random(in: 0..<6, using: &generator)
            if Int.random(in: 0..<4, using: &generator) == 0 {
                people.allow(merge)
            } else {
                people.undo(merge)
            }
        }
        return (people, told)
    }

    private func parted(_ people: RememberedPeople) -> [Separation] {
        people.merges.filter { people.undone.contains($0.id) && !people.allowed.contains($0.id) }
            .compactMap { merge in
                guard let left = people.profiles[merge.survivorMember]?.canonicalID,
                    let right = people.profiles[merge.mergedMember]?.canonicalID
                else { return nil }
                return Separation(mergeID: merge.id, left: left, right: right)
            }
    }

    private func rehearse(
        _ told: [Told], of people: RememberedPeople, by policy: IdentityPolicy = .standard
    ) throws -> PolicyRehearsal.Report {
        var rehearsal = PolicyRehearsal(policy, parted: parted(people))
        for entry in told {
            let person = try #require(people.profiles[entry.arrivedUnder]?.canonicalID)
            rehearsal.take(entry.event, of: person, arrivedUnder: entry.arrivedUnder)
        }
        return rehearsal.report
    }

    @Test("by the policy that was in force everybody stays who they are")
    func unchanged() async throws {
        var generator = seededGenerator()
        for _ in 0..<40 {
            await Task.yield()
            let (people, told) = try history(undos: 0, using: &generator)
            let report = try rehearse(told, of: people)
            #expect(report.events == told.count)
            #expect(report.splits.isEmpty && report.merges.isEmpty)
            #expect(report.staying == report.peopleNow && report.peopleThen == report.peopleNow)
            #expect(report.stays.count == min(20, report.staying))
        }
    }

    @Test(
        "no two people whose merge was undone would be one, by whatever policy, unless it was allowed again")
    func parted() async throws {
        var generator = seededGenerator()
        var met = 0
        for _ in 0..<60 {
            await Task.yield()
            let (people, told) = try history(undos: 10, using: &generator)
            let pairs = parted(people)
            #expect(pairs.allSatisfy { $0.left != $0.right })
            met += pairs.count
            for emails in 1...6 {
                let report = try rehearse(told, of: people, by: .with(emails: emails))
                #expect(report.events == told.count)
                #expect(report.staying + report.merging <= report.peopleNow)
                for merge in report.merges {
                    #expect(!pairs.contains { merge.contains($0.left) && merge.contains($0.right) })
                }
            }
        }
        #expect(met > 20)
    }
}
