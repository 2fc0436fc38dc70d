import Foundation
import IngestionDomain
import Models
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite("Quarantine", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct QuarantineTests {
    private func bad(_ collecting: Collecting) async throws -> [JSON] {
        let body = """
            {"writeKey":"\(collecting.key)","batch":[
            {"type":"track","event":"nul \\u0000 and \\ud800 \\\\u0000","userId":"u","messageId":"1"},
            {"type":"track","event":"old","userId":"u","messageId":"2","timestamp":"0001-01-01T00:00:00Z"},
            {"type":"track","event":"nobody","messageId":"3"},
            {"type":"track","event":"good","userId":"u","messageId":"4"}]}
            """
        let answer = try await collecting.service.request(
            "POST", "/v1/batch", body: Array(body.utf8), as: .none)
        #expect(answer.status == 200)
        #expect(answer.json["quarantined"] == 3)
        #expect(answer.json["accepted"] == 1)
        return try await list(collecting)
    }

    private func list(_ collecting: Collecting, _ query: String = "") async throws -> [JSON] {
        let answer = try await collecting.service.request("GET", "/v1/quarantine\(query)")
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json["items"]?.array ?? []
    }

    private func account(_ collecting: Collecting, _ expected: [String: Int64]) async throws {
        let line = try await collecting.reconciliation()
        #expect(line["balanced"] == true, "\(line.compact)")
        for (name, value) in expected {
            #expect(line["items"]?.array?.first?[name]?.integer == value, "\(name): \(line.compact)")
        }
    }

    @Test("what can't be accepted is kept with its reason and its bytes, and can be found")
    func kept() async throws {
        try await Collecting.with { collecting in
            let items = try await bad(collecting)
            #expect(items.map { $0["reason"]?.string } == ["unstorable", "absurd-time", "missing"])
            #expect(items.map { $0["messageId"]?.string } == ["1", "2", "3"])
            #expect(try await list(collecting, "?reason=missing").count == 1)
            #expect(try await list(collecting, "?messageId=2").first?["event"] == "old")
            #expect(try await list(collecting, "?text=nobody").count == 1)
            #expect(try await list(collecting, "?text=nobody&event=old").isEmpty)
            let first = try await collecting.service.request("GET", "/v1/quarantine?limit=2")
            let cursor = try #require(first.json["nextCursor"]?.string)
            #expect(try await list(collecting, "?limit=2&cursor=\(cursor)").map { $0["messageId"] } == ["3"])
            let id = try #require(items[0]["quarantineId"]?.string)
            let one = try await collecting.service.request("GET", "/v1/quarantine/\(id)").json
            let bytes = try #require(one["bytes"]?.string.flatMap { Data(base64Encoded: $0) })
            #expect(String(decoding: bytes, as: UTF8.self).contains(#""event":"nul \u0000 and"#))
            try await account(collecting, ["received": 4, "accepted": 1, "quarantined": 3])
        }
    }

    @Test("the same bytes again are a duplicate, and the write key is kept nowhere")
    func repetition() async throws {
        try await Collecting.with { collecting in
            for round in 0..<2 {
                let body = #"{"writeKey":"\#(collecting.key)","event":"x","messageId":"m"}"#
                let answer = try await collecting.service.request(
                    "POST", "/v1/track", body: Array(body.utf8), as: .none)
                #expect(answer.status == 200)
                #expect(answer.json[round == 0 ? "quarantined" : "duplicate"] == 1)
            }
            let id = try #require(try await list(collecting).first?["quarantineId"]?.string)
            let one = try await collecting.service.request("GET", "/v1/quarantine/\(id)").json
            let bytes = try #require(one["bytes"]?.string.flatMap { Data(base64Encoded: $0) })
            #expect(!String(decoding: bytes, as: UTF8.self).contains(collecting.key))
            try await account(collecting, ["received": 2, "quarantined": 1, "duplicate": 1])
        }
    }

    @Test("one call takes in what is good after a fix, once, and the account moves with it")
    func replay() async throws {
        try await Collecting.with { collecting in
            _ = try await bad(collecting)
            let first = try await collecting.service.request(
                "POST", "/v1/quarantine/replay", json: ["mend": ["text", "time"]])
            #expect(first.json["accepted"] == 2, "\(first.text)")
            #expect(first.json["quarantined"] == 1)
            #expect(first.json["hasMore"] == false)
            let stored = try await collecting.stored()
            #expect(Set(stored.map(\.messageID)) == ["1", "2", "4"])
            #expect(stored.first { $0.messageID == "1" }?.name == #"nul  and \#u{FFFD} \u0000"#)
            #expect(stored.first { $0.messageID == "2" }?.timestamp == noon)
            try await account(collecting, ["received": 4, "accepted": 3, "quarantined": 1])
            let again = try await collecting.service.request(
                "POST", "/v1/quarantine/replay", json: ["mend": ["text", "time"]])
            #expect(again.json["accepted"] == 0)
            #expect(try await list(collecting, "?settled=true").count == 2)

            // The sender has sent the third properly meanwhile; corrected by hand it is a duplicate.
            let good = try await collecting.send(
                "track", ["event": "nobody", "userId": "u", "messageId": "3"])
            #expect(good.json["accepted"] == 1)
            let id = try #require(try await list(collecting).first?["quarantineId"]?.string)
            let corrected = try await collecting.service.request(
                "POST", "/v1/quarantine/\(id)/replay",
                json: ["item": ["type": "track", "event": "nobody", "userId": "u", "messageId": "3"]])
            #expect(corrected.json["duplicate"] == 1, "\(corrected.text)")
            let settled = try await collecting.service.request(
                "POST", "/v1/quarantine/\(id)/replay", json: [:])
            #expect(settled.status == 409)
            try await account(
                collecting, ["received": 5, "accepted": 4, "duplicate": 1, "quarantined": 0])
        }
    }

    @Test("two replays at once take nothing in twice")
    func concurrentReplays() async throws {
        try await Collecting.with { collecting in
            let batch: [JSON] = (0..<200).map {
                [
                    "type": "track", "event": "x", "userId": "u", "messageId": .string("m\($0)"),
                    "timestamp": "0001-01-01T00:00:00Z",
                ]
            }
            #expect(try await collecting.send("batch", ["batch": .array(batch)]).json["quarantined"] == 200)
            let accepted = try await withThrowingTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await collecting.service.request(
                            "POST", "/v1/quarantine/replay", json: ["mend": ["time"]]
                        ).json["accepted"]?.integer ?? -1
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(accepted == 200)
            #expect(try await collecting.stored().count == 200)
            try await account(collecting, ["received": 200, "accepted": 200, "quarantined": 0])
        }
    }

    @Test("a strict sender gets a 400 with every verdict, and what was accepted stays accepted")
    func strict() async throws {
        try await Collecting.with { collecting in
            let batch: JSON = [
                "batch": [
                    ["type": "track", "event": "a", "userId": "u", "messageId": "1"],
                    ["type": "track", "event": "b", "messageId": "2"],
                ]
            ]
            let answer = try await collecting.send("batch?strict=true", batch)
            #expect(answer.status == 400)
            #expect(answer.json["type"] == "https://martlet.dev/problems/bad-items")
            #expect(
                answer.json["items"]?.array?.map { $0["status"]?.string } == ["accepted", "quarantined"])
            #expect(try await collecting.stored().count == 1)
            #expect(try await collecting.send("batch?strict=maybe", batch).status == 400)
        }
    }

    @Test("a key is remembered for the window, and forgotten after it")
    func window() async throws {
        try await Collecting.with { collecting in
            let event: JSON = ["event": "x", "userId": "u", "messageId": "1"]
            let first = try await collecting.send("track", event)
            #expect(first.json["accepted"] == 1)
            collecting.clock.advance(by: .days(29))
            #expect(try await collecting.send("track", event).json["duplicate"] == 1)
            collecting.clock.advance(by: .days(2))
            #expect(try await collecting.send("track", event).json["accepted"] == 1)
            #expect(try await collecting.send("track", event).json["duplicate"] == 1)
            #expect(try await collecting.reconciliation()["balanced"] == true)
            collecting.clock.advance(by: .days(40))
            let pruner = KeyPruner(
                pool: collecting.service.context.pool, clock: collecting.clock.serviceClock,
                window: .days(30),
                logger: collecting.service.context.logger)
            #expect(try await pruner.prune() == 1)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("a text is made storable without touching anything else")
    func storableText() {
        let cases = [
            (#""a\u0000b""#, #""ab""#), (#""\ud83d\ude00""#, #""\ud83d\ude00""#),
            (#""\ud83d""#, #""\uFFFD""#), (#""\ude00\ud83d""#, #""\uFFFD\uFFFD""#),
            (#""\\u0000""#, #""\\u0000""#), (#""\\\u0000""#, #""\\""#), (#""\u00e9""#, #""\u00e9""#),
            (#""\u0"#, #""\u0"#), ("\\", "\\"),
        ]
        for (text, mended) in cases {
            #expect(String(decoding: StorableText.mend(Array(text.utf8)), as: UTF8.self) == mended)
        }
    }
}
