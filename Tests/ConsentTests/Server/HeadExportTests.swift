import Foundation
import Logging
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import ConsentServer

@Suite(
    "Exporting the ends of the ledger", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct HeadExportTests {
    @Test("a line is added when something has come to the ledger, and each of them is believed later")
    func lines() async throws {
        try await ConsentFixture.with { fixture in
            let directory = FileManager.default.temporaryDirectory.appending(
                path: "martlet-heads-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: directory) }
            let (pool, clock) = (fixture.service.context.pool, fixture.clock.serviceClock)
            func exporter() throws -> ChainExport {
                ChainExport(
                    signer: try ChainSigner(tokens: fixture.service.context.tokens),
                    file: directory.appending(path: ledgerHeadsFile), logger: Logger(label: "test")
                ) { try await ChainSigner.current(at: try await clock.now(), in: pool) }
            }
            func lines() throws -> [JSON] {
                guard
                    let data = FileManager.default.contents(
                        atPath: directory.appending(path: ledgerHeadsFile).path)
                else { return [] }
                return try String(decoding: data, as: UTF8.self).split(separator: "\n")
                    .map { try JSONParser.parse(Array($0.utf8)[...]) }
            }
            var last = try await exporter().export(after: nil)
            #expect(try lines().isEmpty)
            let profile = try await fixture.makeProfile()
            for count in 1...3 {
                try await fixture.decide("grant", of: profile)
                for _ in 1...2 { last = try await exporter().export(after: last) }
                #expect(try lines().count == count)
                fixture.clock.advance(by: .seconds(1))
            }
            // Another instance, or the same after it was started again, knows of no last one.
            _ = try await exporter().export(after: nil)
            let kept = try lines()
            #expect(kept.count == 4)
            let answer = try await fixture.service.request(
                "POST", "/v1/audit/verify", json: ["heads": .array(kept)])
            #expect(answer.status == 200 && answer.json["valid"] == true, "\(answer.text)")
            for place in kept.indices {
                var document = kept[place].object ?? [:]
                document["at"] = .string((fixture.clock.now + .seconds(1)).rfc3339)
                let forged = try await fixture.service.request(
                    "POST", "/v1/audit/verify", json: ["heads": [.object(document)]])
                #expect(forged.status == 400)
            }
        }
    }
}
