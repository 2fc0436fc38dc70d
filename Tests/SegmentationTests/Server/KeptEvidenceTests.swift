import Models
import Postgres
import Sealing
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Evidence that is too large for the stream is kept beside it",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct KeptEvidenceTests {
    private let start = Installation.start

    /// A rule of so many conditions that its evidence is several times what a record may hold.
    private var rule: JSON {
        let long = String(repeating: "x", count: 190)
        return [
            "all": .array(
                (0..<450).map { number in
                    [
                        "count": [
                            "event": .array([.string("\(long)\(number)"), "A"]), "atLeast": 3,
                            "within": "5d",
                        ]
                    ]
                })
        ]
    }

    @Test("both the entry and the exit decide again to the same change, and nothing is left after an erasure")
    func kept() async throws {
        try await Installation.with { installation in
            let (anna, harness) = (Installation.profile("anna"), installation.harness)
            try await installation.put("large", rule)
            let events = (0..<3).map { Installation.track("A", at: start + .hours($0)) }
            try await installation.append(events, to: anna)
            try await installation.drain()
            installation.clock.set(start + .days(6))
            try await installation.sweep()
            let changes = try await installation.changes(of: "large")
            #expect(changes.map(\.change) == [.entered, .exited])
            let oracle = EvidenceOracle(scores: [:], facts: events)
            for change in changes {
                #expect(change.evidence.compact.utf8.count < 1_000 && change.evidence["conditions"] == nil)
                let id = try #require(change.evidence["kept"]?.string)
                let answer = try await harness.request("GET", "/v1/profiles/\(anna)/evidence/\(id)")
                #expect(answer.status == 200 && answer.text.utf8.count > Evidence.maxBytes)
                let conditions = try #require(answer.json["conditions"])
                #expect(try oracle.holds(conditions, at: change.at) == (change.change == .entered))
                if change.change == .exited {
                    let before = try #require(answer.json["before"])
                    #expect(try oracle.holds(before, at: change.at - .milliseconds(1)))
                }
            }
            let stranger = Installation.profile("bert")
            let id = changes[0].evidence["kept"]?.string ?? ""
            #expect(try await harness.request("GET", "/v1/profiles/\(stranger)/evidence/\(id)").status == 404)
            #expect(try await harness.request("GET", "/v1/profiles/\(anna)/evidence/nothing").status == 400)
            try await installation.erase([anna])
            try await installation.drain()
            #expect(try await installation.owner.query("SELECT FROM segmentation.kept_evidence").isEmpty)
        }
    }

    @Test("why somebody is in the segment shows it whole")
    func why() async throws {
        try await Installation.with { installation in
            let anna = Installation.profile("anna")
            try await installation.put("large", rule)
            try await installation.append(
                (0..<3).map { Installation.track("A", at: start + .hours($0)) }, to: anna)
            try await installation.drain()
            let why = try await installation.harness.request("GET", "/v1/segments/large/members/\(anna)/why")
            #expect(why.json[path: "evidence.conditions.parts"]?.array?.count == 450)
            #expect(why.json[path: "evidence.abridged"] == nil)
        }
    }

    @Test(
        "of somebody the latest 100 are kept, an access has them in their order, and an erasure counts them")
    func limited() async throws {
        try await Installation.with { installation in
            let (anna, bert) = (Installation.profile("anna"), Installation.profile("bert"))
            let context = installation.harness.context
            let (vault, start) = (context.vault, start)
            let long = String(repeating: "x", count: Evidence.maxBytes)
            func keep(_ numbers: Range<Int>, of profile: ProfileID) async throws {
                try await context.pool.transaction { transaction in
                    let key = try await vault.days.key(at: start)
                    let kept = numbers.compactMap { number -> KeptEvidence? in
                        var evidence: JSON = ["number": .integer(Int64(number)), "long": .string(long)]
                        return KeptEvidence(&evidence, of: profile, at: start + .seconds(number))
                    }
                    #expect(kept.count == numbers.count)
                    _ = try await transaction.pipeline(try KeptEvidence.write(kept, under: key))
                }
            }
            try await keep(0..<3, of: bert)
            try await keep(0..<60, of: anna)
            try await keep(60..<123, of: anna)
            let (all, counts) = try await context.pool.transaction { transaction in
                (
                    try await KeptEvidence.all(of: [anna, bert], vault: vault, in: transaction),
                    try await Erasure.counts([anna, bert], in: transaction)
                )
            }
            func numbers(_ profile: ProfileID) -> [Int64?] {
                all.filter { $0["profileId"]?.string == profile.description }
                    .map { $0[path: "evidence.number"]?.integer }
            }
            #expect(numbers(anna) == (23..<123).map { Int64($0) })
            #expect(numbers(bert) == [0, 1, 2])
            #expect(counts["keptEvidence"] == 103, "\(counts.compact)")
        }
    }
}
