import Models
import TestSupport
import Testing

@testable import ServiceKit

@Suite(
    "Bodies that go on", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"),
    .timeLimit(.minutes(2)))
struct StreamingTests {
    private func withProbe(
        _ settings: [String: String] = [:], _ body: (ServiceHarness, TestDatabase) async throws -> Void
    ) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        try await ServiceHarness.with(
            ProbeService.definition, database: database,
            clock: SimulatedClock(Instant(milliseconds: 1_700_000_000_000)), workers: false,
            settings: settings
        ) { try await body($0, database) }
    }

    @Test("events come while they are written, and a reader that leaves or lags stops nobody")
    func events() async throws {
        try await withProbe { service, _ in
            try await service.events("/v1/count") { stream in
                let events = try await stream.next(1000)
                #expect(events.map(\.id) == (0..<1000).map { "\($0)" })
                #expect(events.allSatisfy { $0.event == "count" && $0.data == "a\nb" })
                #expect(try await service.request("GET", "/v1/open", as: .none).status == 200)
            }
            #expect(try await service.request("GET", "/v1/open", as: .none).status == 200)
        }
    }

    @Test("a drain ends them cleanly, also one that says nothing for the moment")
    func drain() async throws {
        try await withProbe { service, _ in
            try await service.events("/v1/count?pause=60000") { stream in
                let first = try await stream.next()
                #expect(first?.id == "0")
                await service.drain()
                let end = try await stream.next()
                #expect(end == nil)
            }
        }
    }

    @Test("after its time it ends cleanly, however much there still is to say")
    func longest() async throws {
        try await withProbe { service, _ in
            try await service.events("/v1/count?longest=1") { stream in
                var count = 0
                while try await stream.next() != nil { count += 1 }
                #expect(count > 0)
            }
        }
    }

    @Test("to HEAD nothing of it is written")
    func head() async throws {
        try await withProbe { service, _ in
            let head = try await service.request("HEAD", "/v1/count", as: .none)
            #expect(head.status == 200)
            #expect(head.headers["content-type"] == "text/event-stream")
            #expect(head.body.isEmpty)
            // Where there is no HEAD, the refusal has no body either.
            let refused = try await service.request("HEAD", "/v1/open", as: .none)
            #expect(refused.status == 405)
            #expect(refused.body.isEmpty)
            #expect(try await service.request("GET", "/v1/open", as: .none).status == 200)
        }
    }

    @Test("events are read in whatever pieces they come, and comments passed over")
    func reading() {
        let written =
            ServerSentEvent.comment("hello") + ServerSentEvent(id: "1", event: "item", data: "{}").bytes
            + Array("data:x\r\ndata: y\r\n\r\nevent: lost\n\nretry: 5\ndata\n\n".utf8)
        let expected = [
            ServerSentEvent(id: "1", event: "item", data: "{}"),
            ServerSentEvent(event: "message", data: "x\ny"), ServerSentEvent(event: "message", data: ""),
        ]
        for size in 1...written.count {
            var reader = ServerSentEventReader()
            var found: [ServerSentEvent] = []
            for start in stride(from: 0, to: written.count, by: size) {
                found += reader.events(in: written[start..<min(start + size, written.count)])
            }
            #expect(found == expected)
        }
    }
}
