import Foundation
import IngestionDomain
import Models
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "What clients really send",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WireTests {
    @Test("browsers' one-letter paths are the same calls")
    func shortForms() async throws {
        try await Collecting.with { collecting in
            let calls: [(String, JSON)] = [
                ("t", ["event": "x", "userId": "u"]), ("i", ["userId": "u"]), ("p", ["userId": "u"]),
                ("s", ["userId": "u"]), ("g", ["userId": "u", "groupId": "g"]),
                ("a", ["userId": "u", "previousId": "v"]),
                ("b", ["batch": [["type": "track", "event": "y", "userId": "u"]]]),
                ("import", ["batch": [["type": "track", "event": "y", "userId": "u"]]]),
            ]
            for (path, json) in calls {
                let answer = try await collecting.send(path, json)
                #expect(answer.json["accepted"] == 1, "\(path): \(answer.text)")
            }
            let kinds = Set(try await collecting.stored().map(\.kind))
            #expect(kinds == Set(TrackingEvent.Kind.allCases))
            let beacon = try await collecting.service.request(
                "POST", "/beacon/v1/batch?writeKey=\(collecting.key)",
                body: Array(#"{"batch":[{"type":"page","anonymousId":"a"}]}"#.utf8),
                headers: ["Content-Type": "text/plain"], as: .none)
            #expect(beacon.json["accepted"] == 1, "\(beacon.text)")
        }
    }

    @Test("compressed bodies are read, and one that inflates without end is refused")
    func compressed() async throws {
        try await Collecting.with { collecting in
            let plain = Array(#"{"event":"x","userId":"u","messageId":"1"}"#.utf8)
            let gzip = try Self.compress(plain, "gzip")
            for (coding, body) in [
                ("gzip", gzip), ("deflate", try Self.compress(plain, "zlib")),
                ("deflate", try Self.compress(plain, "raw")), ("GZIP", gzip),
            ] {
                let answer = try await collecting.service.request(
                    "POST", "/v1/track", body: body, headers: ["Content-Encoding": coding],
                    as: .basic(user: collecting.key))
                #expect(answer.status == 200, "\(coding): \(answer.text)")
            }
            #expect(try await collecting.stored().count == 1)
            let bomb = try Self.compress([UInt8](repeating: 0x20, count: 200 << 20), "gzip")
            #expect(bomb.count < 500 << 10)
            for (body, status) in [
                (bomb, 413), (Array(gzip.dropLast(9)), 400), (gzip + [1], 400), (plain, 400), ([], 400),
            ] {
                let answer = try await collecting.service.request(
                    "POST", "/v1/track", body: body, headers: ["Content-Encoding": "gzip"],
                    as: .basic(user: collecting.key))
                #expect(answer.status == status)
            }
        }
    }

    /// Python's zlib, so that our own reading is held to somebody else's writing.
    private static func compress(_ bytes: [UInt8], _ format: String) throws -> [UInt8] {
        let bits = ["gzip": "31", "zlib": "15", "raw": "-15"][format] ?? "15"
        let program = """
            import sys, zlib
            c = zlib.compressobj(9, zlib.DEFLATED, int(sys.argv[1]))
            sys.stdout.buffer.write(c.compress(open(sys.argv[2], 'rb').read()) + c.flush())
            """
        let file = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID()).bin")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(bytes).write(to: file)
        let python = Process()
        python.executableURL = URL(filePath: "/usr/bin/env")
        python.arguments = ["python3", "-c", program, bits, file.path]
        let output = Pipe()
        python.standardOutput = output
        try python.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        python.waitUntilExit()
        return Array(data)
    }

    @Test("limits are those of Segment, and an import may bring larger pieces")
    func limits() async throws {
        try await Collecting.with { collecting in
            func item(_ bytes: Int) -> JSON {
                [
                    "batch": [
                        [
                            "type": "track", "event": "x", "userId": "u",
                            "properties": ["text": .string(String(repeating: "x", count: bytes))],
                        ]
                    ]
                ]
            }
            #expect(try await collecting.send("batch", item(31 << 10)).json["accepted"] == 1)
            let large = try await collecting.send("batch", item(33 << 10))
            #expect(large.json["refused"] == 1)
            #expect(large.json[path: "items.0.reason"]?.string?.hasPrefix("too-large: ") == true)
            #expect(try await collecting.send("import", item(33 << 10)).json["accepted"] == 1)
            #expect(try await collecting.send("batch", item(501 << 10)).status == 413)
            #expect(try await collecting.send("import", item(511 << 10)).json["accepted"] == 1)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("an image brings a call, in Segment's way and in RudderStack's")
    func pixels() async throws {
        try await Collecting.with { collecting in
            let call = #"{"writeKey":"\#(collecting.key)","userId":"u","event":"Opened >?","messageId":"1"}"#
            let data = Data(call.utf8).base64EncodedString()
            for text in [
                data.replacing("+", with: "%2B"), Data(call.utf8).base64URL,
                data.replacing("=", with: "").replacing("+", with: "%2B"),
            ] {
                let answer = try await collecting.service.request(
                    "GET", "/v1/pixel/track?data=\(text)", as: .none)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.headers["content-type"] == "image/gif")
                #expect(answer.body.starts(with: Array("GIF89a".utf8)))
            }
            let rudder = try await collecting.service.request(
                "GET",
                "/pixel/v1/page?writeKey=\(collecting.key)&anonymousId=a&context.page.path=%2Fcart"
                    + "&properties.sku=17", as: .none)
            #expect(rudder.status == 200, "\(rudder.text)")
            let stored = try await collecting.stored()
            #expect(stored.count == 2)
            let page = try #require(stored.first { $0.kind == .page })
            #expect(page.name == "Unknown Page")
            #expect(page.context["page"] == ["path": "/cart"])
            #expect(page.properties["sku"] == "17")
            for path in [
                "/v1/pixel/track", "/v1/pixel/track?data=%21%21", "/v1/pixel/track?data=e30",
                "/pixel/v1/track?writeKey=wrong&event=x", "/pixel/v1/page?a..b=1",
            ] {
                let answer = try await collecting.service.request("GET", path, as: .none)
                #expect([400, 401].contains(answer.status), "\(path)")
            }
        }
    }

    @Test("the browser SDK is told where to send, and that there is nothing else to load")
    func settings() async throws {
        let settings = ["MARTLET_INGESTION_PUBLIC_URL": "https://events.shop.example"]
        try await Collecting.with(settings: settings) { collecting in
            let answer = try await collecting.service.request(
                "GET", "/v1/projects/\(collecting.key)/settings", as: .none)
            #expect(answer.status == 200)
            #expect(answer.headers["access-control-allow-origin"] == "*")
            let segment = answer.json["integrations"]?["Segment.io"]
            #expect(segment?["apiHost"] == "events.shop.example/v1")
            #expect(segment?["protocol"] == "https")
            #expect(segment?["apiKey"]?.string == collecting.key)
            let wrong = try await collecting.service.request(
                "GET", "/v1/projects/wk_wrong/settings", as: .none)
            #expect(wrong.status == 404)
        }
    }

    @Test("a source over its rate is told when to come back, and others are not")
    func rates() async throws {
        try await Collecting.with(settings: ["MARTLET_INGESTION_SOURCE_ITEMS_PER_SECOND": "1"]) {
            collecting in
            let statuses = try await withThrowingTaskGroup { group in
                for number in 0..<14 {
                    group.addTask {
                        try await collecting.send(
                            "track", ["event": "x", "userId": "u", "messageId": .string("\(number)")]
                        )
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let limited = statuses.filter { $0.status == 429 }
            #expect(limited.count >= 2)
            #expect(limited.allSatisfy { $0.headers["retry-after"] != nil })
            #expect(limited.allSatisfy { $0.headers["access-control-expose-headers"] == "Retry-After" })
            #expect(try await collecting.stored().count == 14 - limited.count)
            let service = try await collecting.service.request(
                "POST", "/v1/track", json: ["event": "x", "userId": "u"], as: .service(.delivery))
            #expect(service.status == 200)
        }
    }

    @Test("the snippet is served as a script that may be kept for an hour")
    func snippet() async throws {
        try await Collecting.with { collecting in
            let answer = try await collecting.service.request("GET", "/v1/martlet.js", as: .none)
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/javascript; charset=utf-8")
            #expect(answer.headers["cache-control"] == "public, max-age=3600")
            let tag = try #require(answer.headers["etag"])
            let again = try await collecting.service.request(
                "GET", "/v1/martlet.js", headers: ["If-None-Match": tag], as: .none)
            #expect(again.status == 304)
            #expect(again.body.isEmpty)

            let packed = try await collecting.service.request(
                "GET", "/v1/martlet.js", headers: ["Accept-Encoding": "br;q=1, gzip"], as: .none)
            #expect(packed.headers["content-encoding"] == "gzip")
            #expect(packed.headers["etag"] != tag)
            #expect(packed.body.count < 6_000)
            let reader = try GzipReader()
            reader.append(packed.body)
            #expect(try reader.next() == answer.body)
            for refusal in ["gzip;q=0", "br", ""] {
                let plain = try await collecting.service.request(
                    "GET", "/v1/martlet.js", headers: ["Accept-Encoding": refusal], as: .none)
                #expect(plain.headers["content-encoding"] == nil, "\(refusal)")
            }
        }
    }

    @Test("RudderStack's browser SDK may ask for its source, and may send its header with every call")
    func sourceConfig() async throws {
        try await Collecting.with { collecting in
            for path in ["/sourceConfig/?p=npm&v=3.11.0&build=modern", "/sourceConfig?p=cdn&v=2.48.0"] {
                let answer = try await collecting.service.request(
                    "GET", path, as: .basic(user: collecting.key))
                #expect(answer.status == 200, "\(path): \(answer.text)")
                #expect(answer.headers["access-control-allow-origin"] == "*")
                let source = answer.json["source"]
                #expect(source?["id"]?.string == collecting.sourceID.description)
                #expect(source?["enabled"] == true)
                #expect(source?["destinations"] == [])
                #expect(source?["config"]?.object != nil)
            }
            let byQuery = try await collecting.service.request(
                "GET", "/sourceConfig/?p=npm&writeKey=\(collecting.key)", as: .none)
            #expect(byQuery.status == 200)
            let unknown = try await collecting.service.request(
                "GET", "/sourceConfig/", as: .basic(user: "wk_wrong"))
            #expect(unknown.status == 404)
            #expect(unknown.headers["access-control-allow-origin"] == "*")
            for path in ["/sourceConfig/", "/v1/batch", "/v1/track"] {
                let preflight = try await collecting.service.request("OPTIONS", path, as: .none)
                #expect(preflight.status == 204)
                let allowed = preflight.headers["access-control-allow-headers"] ?? ""
                #expect(allowed.contains("anonymousid") && allowed.contains("authorization"))
            }
        }
    }
}
