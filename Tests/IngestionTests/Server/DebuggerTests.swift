import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "The live debugger", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .timeLimit(.minutes(3)))
struct DebuggerTests {
    @Test("the last items come first with their verdicts, then each new one, and the write key never")
    func lastThenLive() async throws {
        try await Debugged.with { debugged in
            #expect(try await debugged.track("1") == "accepted")
            #expect(try await debugged.track("1") == "duplicate")
            #expect(try await debugged.track("2", ["userId": .null]) == "quarantined")
            let inBody = try await debugged.service.request(
                "POST", "/v1/track",
                body: Array(#"{"writeKey":"\#(debugged.key)","messageId":"3","event":""}"#.utf8), as: .none)
            #expect(inBody.json["quarantined"] == 1)
            try await debugged.service.events(debugged.path) { stream in
                let events = try await stream.next(4)
                #expect(events.map(\.event) == ["item", "item", "item", "item"])
                #expect(events.map(\.messageID) == ["1", "1", "2", "3"])
                #expect(
                    events.map { $0.json["verdict"]?.string } == [
                        "accepted", "duplicate", "quarantined", "quarantined",
                    ])
                #expect(events[0].json[path: "item.userId"] == "u")
                #expect(events[0].json["type"] == "track")
                #expect(events[0].json["event"] == "Viewed")
                #expect(events[0].json["receivedAt"]?.string == noon.rfc3339)
                #expect(events[2].json["reason"]?.string?.hasPrefix("missing: ") == true)
                #expect(events[2].json[path: "item.event"] == "Viewed")
                #expect(!events.contains { $0.data.contains(debugged.key) })

                #expect(try await debugged.track("4") == "accepted")
                let live = try #require(try await stream.next())
                #expect(live.messageID == "4")
                let ids = (events + [live]).compactMap { $0.id.flatMap { Int64($0) } }
                #expect(ids.count == 5 && ids == ids.sorted())
            }
        }
    }

    @Test("what every instance holds and takes in is shown by the one that is asked")
    func instances() async throws {
        try await Debugged.with(instances: 2) { debugged in
            try await debugged.track("a1", to: 0)
            try await debugged.track("b1", to: 1)
            try await debugged.service.events(debugged.path) { stream in
                // The other instance may be too late for the beginning; it is not left out then.
                let before = try await stream.next(2)
                #expect(Set(before.map(\.messageID)) == ["a1", "b1"])
                for id in ["b2", "a2", "b3"] {
                    try await debugged.track(id, to: id.hasPrefix("a") ? 0 : 1)
                    let event = try #require(try await stream.next())
                    #expect(event.messageID == id)
                }
            }
        }
    }

    @Test("only what was asked for is shown, before and live")
    func filters() async throws {
        try await Debugged.with { debugged in
            let bad: [String: JSON] = ["userId": .null]
            for (id, more) in [("1", [:]), ("2", bad), ("3", ["event": "Bought"]), ("4", bad)] {
                try await debugged.track(id, more)
            }
            try await debugged.service.events(debugged.path + "?verdict=quarantined,refused") { stream in
                let before = try await stream.next(2)
                #expect(before.map(\.messageID) == ["2", "4"])
                try await debugged.track("5")
                try await debugged.track("6", bad)
                let live = try await stream.next()
                #expect(live?.messageID == "6")
            }
            try await debugged.service.events(debugged.path + "?event=Bought&last=1") { stream in
                let before = try await stream.next()
                #expect(before?.messageID == "3")
                try await debugged.track("7")
                try await debugged.track("8", ["event": "Bought"])
                let live = try await stream.next()
                #expect(live?.messageID == "8")
            }
            let wrong = try await debugged.service.request("GET", debugged.path + "?verdict=good")
            #expect(wrong.status == 400)
            let tooMany = try await debugged.service.request("GET", debugged.path + "?last=501")
            #expect(tooMany.status == 400)
        }
    }

    @Test("of more than can be shown it tells how many are missing")
    func missed() async throws {
        try await Debugged.with { debugged in
            try await debugged.track("first")
            try await debugged.service.events(debugged.path) { stream in
                let first = try await stream.next()
                #expect(first?.messageID == "first")
                try await debugged.batch(1000)
                let gap = try await stream.next()
                #expect(gap?.event == "missed")
                #expect(gap?.json == ["count": 900])
                let shown = try await stream.next(100)
                #expect(shown.first?.messageID == "b900")
                #expect(shown.last?.messageID == "b999")
            }
        }
    }

    @Test("whoever comes back goes on where it left, and is told when that place is not known any more")
    func resuming() async throws {
        try await Debugged.with { debugged in
            try await debugged.track("1")
            try await debugged.track("2")
            var last: String?
            try await debugged.service.events(debugged.path) { stream in
                last = try await stream.next(2).last?.id
            }
            try await debugged.untilNobodyWatches()
            try await debugged.track("3")
            let headers = ["Last-Event-ID": try #require(last)]
            try await debugged.service.events(debugged.path, headers: headers) { stream in
                let next = try await stream.next()
                #expect(next?.messageID == "3")
            }
            try await debugged.service.events(
                debugged.path + "?last=1", headers: ["Last-Event-ID": "999999"]
            ) { stream in
                let events = try await stream.next(2)
                #expect(events.map(\.event) == ["missed", "item"])
                #expect(events[0].json == ["count": .null])
                #expect(events[1].messageID == "3")
            }
        }
    }

    @Test("while nobody watches nothing is published, and nothing any more once the last has left")
    func nobody() async throws {
        try await Debugged.with(settings: ["MARTLET_INGESTION_DEBUGGERS": "1"]) { debugged in
            try await debugged.track("1")
            let drawn: SQL = "SELECT count(*) AS n FROM ingestion.recent_item_id WHERE is_called"
            #expect(try await debugged.count(drawn) == 0)
            try await debugged.service.events(debugged.path) { stream in
                let shown = try await stream.next()
                #expect(shown?.messageID == "1")
                let second = try await debugged.service.request("GET", debugged.path)
                #expect(second.status == 429)
                #expect(second.headers["retry-after"] == "10")
            }
            try await debugged.untilNobodyWatches()
            try await debugged.track("2")
            let shown: SQL = "SELECT count(*) AS n FROM ingestion.recent_item"
            #expect(try await debugged.count(shown) == 1)
            // Its place is free again.
            try await debugged.service.events(debugged.path) { stream in
                let shown = try await stream.next(2)
                #expect(shown.map(\.messageID) == ["1", "2"])
            }
        }
    }

    @Test("a drain ends the stream cleanly")
    func drain() async throws {
        try await Debugged.with { debugged in
            try await debugged.track("1")
            try await debugged.service.events(debugged.path) { stream in
                let shown = try await stream.next()
                #expect(shown?.messageID == "1")
                await debugged.service.drain()
                let end = try await stream.next()
                #expect(end == nil)
            }
        }
    }

    @Test("after its time a stream ends, and a quiet one shows that it lives until then")
    func time() async throws {
        let settings = ["MARTLET_INGESTION_DEBUGGER_PING": "1s", "MARTLET_INGESTION_DEBUGGER_LONGEST": "3s"]
        try await Debugged.with(settings: settings) { debugged in
            try await debugged.service.events(debugged.path) { stream in
                var text = ""
                while let more = try await stream.nextText() { text += more }
                #expect(text.hasPrefix(": watching\n\n"))
                #expect(text.contains(": ping\n\n"))
            }
        }
    }

    @Test("who may not read sources sees nothing")
    func access() async throws {
        try await Debugged.with { debugged in
            let service = debugged.service
            #expect(try await service.request("GET", debugged.path, as: .none).status == 401)
            let byWriteKey = try await service.request(
                "GET", debugged.path, as: .basic(user: debugged.key))
            #expect(byWriteKey.status == 401)
            let unknown = "/v1/sources/\(SourceID(UUIDv7.make(at: noon)))/debugger"
            #expect(try await service.request("GET", unknown).status == 404)
        }
    }
}
