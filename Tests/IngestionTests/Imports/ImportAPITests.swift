import Foundation
import IngestionDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Imports through the API",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ImportAPITests {
    @Test("a file is uploaded, run and reported on, and every row and event is accounted for")
    func lifecycle() async throws {
        try await Importing.with { importing in
            let id = try await importing.draft()
            try await importing.run(id)
            let done = try await importing.get(id)
            #expect(done["state"] == "done", "\(done.compact)")
            #expect(done["rows"] == ["read": 14, "imported": 10, "skipped": 2, "refused": 2])
            #expect(
                done["events"] == [
                    "received": 8, "accepted": 7, "duplicate": 0, "quarantined": 1, "refused": 0,
                ])
            #expect(done["hasFile"] == false)
            #expect(done["readBytes"] == done["storedBytes"])
            let report = try await importing.report(id)
            #expect(report["skipped"] == [["reason": "test order", "groups": 1, "rows": 2]])
            #expect(report["problems"] == 2)
            #expect(report[path: "items.0.line"] == 7)
            #expect(report[path: "items.0.kind"] == "row")
            #expect(report[path: "items.0.reason"] == "quantity: expected a whole number")
            #expect(report[path: "items.1.line"] == 10)
            #expect(report[path: "items.1.kind"] == "quarantined")
            let accepted = try await importing.accepted()
            #expect(accepted.count == 7)
            #expect(accepted["orders:order:1"] == ["order_id": "1", "total": "4.50"])
            #expect(accepted["orders:order:2"] == ["order_id": "2", "total": "4.00"])
            let account = try await importing.collecting.reconciliation()
            #expect(account["balanced"] == true)
            #expect(account[path: "items.0.received"] == 8)
            #expect(try await importing.pieces() == 0)
        }
    }

    @Test("a file taken in again doubles nothing, and says so")
    func again() async throws {
        try await Importing.with { importing in
            for _ in 0..<2 { try await importing.run(try await importing.draft()) }
            let newest = try await importing.call("GET", "/v1/imports?state=done&limit=1").json
            #expect(newest[path: "items.0.events.accepted"] != newest[path: "items.0.events.received"])
            #expect(try await importing.collecting.stored().count == 7)
            let calls =
                "{\"type\":\"track\",\"event\":\"x\",\"userId\":\"u\"}\n{\"type\":\"track\",\"event\":\"x\",\"userId\":\"u\"}\n"
            for expected: JSON in [2, 0] {
                let id = try await importing.draft(calls, format: "ndjson", mapping: nil)
                try await importing.run(id)
                // Without a time, two equal lines are two events; the same file is the same events.
                #expect(try await importing.get(id)[path: "events.accepted"] == expected)
            }
        }
    }

    @Test("a file comes in pieces, goes on where it was, and is whole before it runs")
    func upload() async throws {
        try await Importing.with { importing in
            let bytes = Array(Importing.orders.utf8)
            let made = try await importing.create(["expectedBytes": .integer(Int64(bytes.count))])
            let id = try #require(made.json["importId"]?.string)
            #expect(try await importing.act("run", on: id).status == 409)
            var offset = 0
            var random = planGenerator()
            while offset < bytes.count {
                let piece = Array(bytes[offset..<min(bytes.count, offset + random.number(1...60))])
                #expect(try await importing.upload(piece, to: id, at: offset).status == 200)
                // The answer was lost, and it comes again.
                let repeated = try await importing.upload(piece, to: id, at: offset)
                offset += piece.count
                #expect(repeated.status == 409)
                #expect(repeated.json["type"]?.string?.hasSuffix("wrong-offset") == true)
                #expect(repeated.json["offset"] == .integer(Int64(offset)))
                if offset < bytes.count { #expect(try await importing.act("run", on: id).status == 409) }
            }
            #expect(try await importing.upload([0x0A], to: id, at: offset).status == 413)
            try await importing.run(id)
            #expect(try await importing.get(id)[path: "events.accepted"] == 7)
        }
    }

    @Test("what is stored of a file can be read with the key alone that is not in the database")
    func sealed() async throws {
        try await Importing.with { importing in
            _ = try await importing.draft()
            let pool = importing.collecting.database.pool(maxConnections: 1)
            let rows = try await pool.query("SELECT data FROM ingestion.import_chunk")
            await pool.close()
            let data = try #require(try rows.first?.get("data", as: Data.self))
            #expect(data.range(of: Data("ada".utf8)) == nil)
        }
    }

    @Test(
        "what is packed is unpacked, in any number of members; what only begins so fails, and can be seen before"
    )
    func gzip() async throws {
        try await Importing.with { importing in
            let half = Importing.orders.utf8.count / 2
            let bytes = Array(Importing.orders.utf8)
            let packed = try Importing.gzip(Array(bytes[..<half])) + Importing.gzip(Array(bytes[half...]))
            let made = try await importing.create()
            let id = try #require(made.json["importId"]?.string)
            #expect(try await importing.upload([packed[0]], to: id).status == 200)
            #expect(try await importing.upload(Array(packed[1...]), to: id, at: 1).status == 200)
            try await importing.run(id)
            #expect(try await importing.get(id)[path: "events.accepted"] == 7)

            let broken = try await importing.create()
            let brokenID = try #require(broken.json["importId"]?.string)
            _ = try await importing.upload(Array(packed[..<(packed.count - 12)]), to: brokenID)
            try await importing.run(brokenID)
            let failed = try await importing.get(brokenID)
            #expect(failed["state"] == "failed")
            #expect(failed["failure"]?.string?.contains("gzip") == true)
        }
    }

    @Test("a small file that unpacks to a huge one ends at the limit")
    func bomb() async throws {
        try await Importing.with(settings: ["MARTLET_INGESTION_IMPORT_INFLATED_BYTES": "1000000"]) {
            importing in
            let header = "order,quantity,price,at,who\n"
            let bomb = try Importing.python(
                "import sys, gzip; sys.stdout.buffer.write(gzip.compress(b'\(header.dropLast())\\n' + b'\\n' * 200_000_000, 9))",
                [])
            #expect(bomb.count < 1 << 20)
            let made = try await importing.create()
            let id = try #require(made.json["importId"]?.string)
            #expect(try await importing.upload(bomb, to: id).status == 200)
            try await importing.run(id)
            let failed = try await importing.get(id)
            #expect(failed["state"] == "failed")
            #expect(failed["failure"]?.string?.contains("unpacked") == true)
        }
    }

    @Test("pieces and files have limits")
    func limits() async throws {
        let settings = [
            "MARTLET_INGESTION_IMPORT_CHUNK_BYTES": "1024", "MARTLET_INGESTION_IMPORT_FILE_BYTES": "2048",
        ]
        try await Importing.with(settings: settings) { importing in
            let made = try await importing.create()
            let id = try #require(made.json["importId"]?.string)
            let piece = [UInt8](repeating: 0x0A, count: 1024)
            #expect(try await importing.upload(piece + [0x0A], to: id).status == 413)
            #expect(try await importing.upload(piece, to: id).status == 200)
            #expect(try await importing.upload(piece, to: id, at: 1024).status == 200)
            let more = try await importing.upload([0x0A], to: id, at: 2048)
            #expect(more.status == 413)
            #expect(more.json["type"]?.string?.hasSuffix("file-too-large") == true)
            #expect(try await importing.upload([], to: id, at: 2048).status == 400)
        }
    }

    @Test("a mistake in a mapping is refused with its line, and what is stored stays")
    func mistakes() async throws {
        try await Importing.with { importing in
            let wrong = Importing.mapping.replacing("timestamp: at", with: "timestamp: price")
            let refused = try await importing.create(mapping: wrong)
            #expect(refused.status == 400)
            #expect(refused.json["type"]?.string?.hasSuffix("invalid-mapping") == true)
            #expect(refused.json[path: "errors.0.line"] == 11)
            #expect(refused.json[path: "errors.0.path"] == "events.0.timestamp")

            let id = try await importing.draft(mapping: nil)
            #expect(try await importing.act("run", on: id).status == 409)
            func put(_ text: String, ifMatch: String? = nil) async throws -> ServiceHarness.Answer {
                var headers = ["Content-Type": "application/yaml"]
                headers["If-Match"] = ifMatch
                return try await importing.call(
                    "PUT", "/v1/imports/\(id)/mapping", body: Array(text.utf8), headers: headers)
            }
            let mistaken = try await put(wrong)
            #expect(mistaken.json[path: "errors.0.line"] == 11)
            #expect(try await put(Importing.mapping, ifMatch: "\"7\"").status == 412)
            let good = try await put(Importing.mapping, ifMatch: "\"1\"")
            #expect(good.status == 200)
            #expect(good.headers["etag"] == "\"2\"")
            #expect(good.json[path: "mapping.mapping"] == "orders")
            let json = try await importing.call(
                "PUT", "/v1/imports/\(id)/mapping", json: good.json["mapping"])
            #expect(json.status == 200)
            try await importing.run(id)
            #expect(try await importing.get(id)[path: "events.accepted"] == 7)
            #expect(try await put(Importing.mapping).status == 409)
        }
    }

    @Test("a mapping that doesn't fit the file fails the import; mended, it runs from the beginning")
    func mended() async throws {
        try await Importing.with { importing in
            let id = try await importing.draft(
                mapping: Importing.mapping.replacing("price: decimal", with: "cost: decimal")
                    .replacing("quantity, price]", with: "quantity, cost]"))
            try await importing.run(id)
            let failed = try await importing.get(id)
            #expect(failed["state"] == "failed")
            #expect(
                failed["failure"]?.string?.hasPrefix("line 1: the header lacks the column \"cost\"") == true)
            let mended = try await importing.call(
                "PUT", "/v1/imports/\(id)/mapping", body: Array(Importing.mapping.utf8),
                headers: ["Content-Type": "application/yaml"])
            #expect(mended.json["state"] == "draft")
            try await importing.run(id)
            #expect(try await importing.get(id)[path: "events.accepted"] == 7)
        }
    }

    @Test("times move by whole weeks, so that the last is in the week before now")
    func shift() async throws {
        try await Importing.with { importing in
            let id = try await importing.draft(Importing.orders, ["shiftToNow": true])
            try await importing.run(id)
            // From the first of January to the 21st of November, at noon both.
            let events = try await importing.collecting.stored()
            #expect(Set(events.map(\.timestamp.rfc3339)) == ["2026-11-19T10:00:00.000Z"])
            let calls = try await importing.draft(
                "{}\n", format: "ndjson", mapping: nil, ["shiftToNow": true])
            #expect(try await importing.act("run", on: calls).status == 409)
        }
    }

    @Test("the same request under the same key makes one import; another request under it is refused")
    func idempotency() async throws {
        try await Importing.with { importing in
            let first = try await importing.create(key: "k-1")
            let second = try await importing.create(key: "k-1")
            #expect(first.status == 201 && second.status == 201)
            #expect(first.json["importId"] == second.json["importId"])
            let other = try await importing.create(["name": "other"], key: "k-1")
            #expect(other.status == 409)
            #expect(try await importing.create(key: "k-2").json["importId"] != first.json["importId"])
        }
    }

    @Test("what is not possible now is refused, and repeating what was done changes nothing")
    func states() async throws {
        try await Importing.with { importing in
            let id = try await importing.draft()
            for action in ["pause", "resume"] {
                #expect(try await importing.act(action, on: id).status == 409)
            }
            for _ in 0..<2 { #expect(try await importing.act("run", on: id).json["state"] == "running") }
            #expect(try await importing.call("DELETE", "/v1/imports/\(id)").status == 409)
            #expect(try await importing.upload([0x0A], to: id, at: 1).status == 409)
            for _ in 0..<2 { #expect(try await importing.act("pause", on: id).json["state"] == "paused") }
            #expect(try await importing.imports.worker.runOne() == false)
            for _ in 0..<2 { #expect(try await importing.act("cancel", on: id).json["state"] == "cancelled") }
            #expect(try await importing.get(id)["hasFile"] == false)
            #expect(try await importing.pieces() == 0)
            #expect(try await importing.act("run", on: id).status == 409)
            #expect(try await importing.call("DELETE", "/v1/imports/\(id)").status == 204)
            #expect(try await importing.call("GET", "/v1/imports/\(id)").status == 404)
            #expect(try await importing.report(id)["type"]?.string?.hasSuffix("unknown-import") == true)
        }
    }

    @Test("files that nobody touches for a week are deleted, and no others")
    func abandoned() async throws {
        try await Importing.with { importing in
            let old = try await importing.draft()
            importing.collecting.clock.advance(by: .days(6))
            let young = try await importing.draft()
            importing.collecting.clock.advance(by: .days(2))
            #expect(try await importing.imports.pruner.prune() == 1)
            #expect(try await importing.get(old)["state"] == "cancelled")
            #expect(try await importing.get(old)["hasFile"] == false)
            #expect(try await importing.get(young)["hasFile"] == true)
            #expect(try await importing.pieces() == 1)
        }
    }

    @Test("imports and mistakes are listed page by page")
    func pages() async throws {
        try await Importing.with { importing in
            var made: Set<String> = []
            for _ in 0..<5 { made.insert(try await importing.draft()) }
            func all(_ path: String) async throws -> [JSON] {
                var items: [JSON] = []
                var cursor = ""
                repeat {
                    let page = try await importing.call("GET", "\(path)?limit=2\(cursor)").json
                    items += page["items"]?.array ?? []
                    cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
                } while !cursor.isEmpty
                return items
            }
            let listed = try await all("/v1/imports").compactMap { $0["importId"]?.string }
            #expect(listed.count == 5 && Set(listed) == made)
            let text = "order,quantity,price,at,who\n" + String(repeating: "x\n", count: 5)
            let id = try await importing.draft(text)
            try await importing.run(id)
            #expect(
                try await all("/v1/imports/\(id)/report").compactMap { $0["line"]?.integer } == [
                    2, 3, 4, 5, 6,
                ])
        }
    }

    @Test(
        "mistakes are problems",
        arguments: [
            ("POST", "/v1/imports", #"{}"#, 400), ("GET", "/v1/imports?state=x", nil, 400),
            ("GET", "/v1/imports?cursor=x", nil, 400), ("GET", "/v1/imports/x", nil, 400),
            ("GET", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f", nil, 404),
            ("POST", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f/run", nil, 404),
            ("POST", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f/preview", nil, 404),
            ("DELETE", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f", nil, 404),
            ("PUT", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f/file?offset=-1", "x", 400),
            ("PUT", "/v1/imports/018bcfe5-6800-732e-8bd2-68de555c384f/file", "x", 415),
            (
                "POST", "/v1/imports",
                #"{"name":"x","sourceId":"018bcfe5-6800-732e-8bd2-68de555c384f","format":"csv"}"#, 404
            ),
            (
                "POST", "/v1/imports",
                #"{"name":"x","sourceId":"018bcfe5-6800-732e-8bd2-68de555c384f","format":"xls"}"#, 400
            ),
        ] as [(String, String, String?, Int)])
    func problems(method: String, path: String, body: String?, status: Int) async throws {
        try await Importing.with { importing in
            let answer = try await importing.call(method, path, body: body.map { Array($0.utf8) })
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.headers["content-type"] == "application/problem+json")
        }
    }
}
