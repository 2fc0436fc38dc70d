import Foundation
import Glibc
import Logging
import Models
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite("The pace of a client")
struct ClientPaceTests {
    private let patience = ClientPatience(
        head: .seconds(20), idle: .seconds(60), grace: .seconds(20), bytesPerSecond: 500)

    @Test("a client that never sends a whole head is let go when its time is over")
    func head() {
        var pace = ClientPace(patience)
        #expect(pace.look(after: .seconds(19), isAwaited: true, unsent: 0) == nil)
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 0) == .head)
    }

    @Test("a body may take the grace, and then as long as it keeps the rate")
    func body() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        #expect(pace.look(after: .seconds(20), isAwaited: true, unsent: 0) == nil)
        // Two seconds' worth.
        pace.receivedBody(bytes: 1_000)
        #expect(pace.look(after: .seconds(2), isAwaited: true, unsent: 0) == nil)
        #expect(pace.look(after: .milliseconds(1), isAwaited: true, unsent: 0) == .body)
    }

    @Test("a byte now and then is too slow, however long it goes on")
    func trickle() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        var slowness: ClientPace.Slowness?
        var seconds = 0
        while slowness == nil, seconds < 1_000 {
            pace.receivedBody(bytes: 2)
            seconds += 5
            slowness = pace.look(after: .seconds(5), isAwaited: true, unsent: 0)
        }
        #expect(slowness == .body)
        #expect(seconds == 25)
    }

    @Test("what came fast is no leave to stand still")
    func stall() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        pace.receivedBody(bytes: 10_000_000)
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 0) == nil)
        #expect(pace.look(after: .seconds(19), isAwaited: true, unsent: 0) == nil)
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 0) == .body)
    }

    @Test("time in which the service does not read counts for nobody's slowness")
    func held() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        #expect(pace.look(after: .seconds(300), isAwaited: false, unsent: 0) == nil)
        #expect(pace.look(after: .seconds(20), isAwaited: true, unsent: 0) == nil)
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 0) == .body)
    }

    @Test("an answer that is waited for costs the client nothing, one that it does not read its connection")
    func reading() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        pace.receivedEnd()
        #expect(pace.look(after: .seconds(3_600), isAwaited: true, unsent: 0) == nil)
        pace.wrote(bytes: 100_000)
        #expect(pace.look(after: .seconds(20), isAwaited: true, unsent: 100_000) == nil)
        // It reads 5,000 bytes: ten more seconds.
        #expect(pace.look(after: .seconds(10), isAwaited: true, unsent: 95_000) == nil)
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 95_000) == .reading)
    }

    @Test("a slow but steady reader reads to the end")
    func steady() {
        var pace = ClientPace(patience)
        pace.receivedHead()
        pace.receivedEnd()
        pace.wrote(bytes: 1_000_000)
        for second in 1...1_000 {
            #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 1_000_000 - second * 1_000) == nil)
        }
        // The next answer begins with a grace of its own.
        pace.wrote(bytes: 1_000)
        #expect(pace.look(after: .seconds(19), isAwaited: true, unsent: 1_000) == nil)
    }

    @Test("between requests a client may wait for as long as a connection is kept, and begins anew with each")
    func idle() {
        var pace = ClientPace(patience)
        for _ in 0..<3 {
            pace.receivedHead()
            pace.receivedEnd()
            // However long the answer takes.
            #expect(pace.look(after: .seconds(600), isAwaited: true, unsent: 0) == nil)
            pace.answered()
            #expect(pace.look(after: .seconds(59), isAwaited: true, unsent: 0) == nil)
        }
        #expect(pace.look(after: .seconds(1), isAwaited: true, unsent: 0) == .idle)
    }
}

@Suite(
    "Slow clients over HTTP", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"),
    .timeLimit(.minutes(2)))
struct SlowClientsOverHTTPTests {
    /// What a client has sent when it stops for good.
    @Test(
        "the connection of a client that stops in the middle is closed",
        arguments: [
            "", "GET /livez HT", "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ",
            "POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        ])
    func stops(sent: String) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        let settings = [
            "MARTLET_HTTP_HEAD_TIMEOUT": "200ms", "MARTLET_HTTP_GRACE": "200ms",
        ]
        try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(Instant(milliseconds: 0)),
            workers: false, settings: settings
        ) { service in
            let port = try #require(URL(string: service.baseURL)?.port)
            #expect(try await Connection.sendThenWait(sent, port: port))
            // The others are none the worse.
            #expect(try await service.request("GET", "/livez", as: .none).status == 200)
        }
    }
}

extension SlowClientsOverHTTPTests {
    @Test(
        "a connection is kept between requests for as long as is set, whichever way they took",
        arguments: [
            "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /v1/direct HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nnow",
            "POST /v1/direct HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nlater",
        ])
    func idle(sent: String) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(Instant(milliseconds: 0)),
            workers: false, settings: ["MARTLET_HTTP_IDLE_TIMEOUT": "300ms"]
        ) { service in
            let port = try #require(URL(string: service.baseURL)?.port)
            #expect(try await Connection.sendThenWait(sent, port: port))
        }
    }

    @Test("a client that stops in the body of a request that would be answered directly is let go")
    func directBody() async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(Instant(milliseconds: 0)),
            workers: false, settings: ["MARTLET_HTTP_GRACE": "200ms"]
        ) { service in
            let port = try #require(URL(string: service.baseURL)?.port)
            let sent = "POST /v1/direct HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
            #expect(try await Connection.sendThenWait(sent, port: port))
        }
    }
}

/// A connection as nothing but bytes.
private struct Connection {
    private let descriptor: Int32

    struct Refused: Error {}

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard connected == 0 else { throw Refused() }
    }

    /// Sends the text and waits for the end of the connection; false when it does not come within a minute. On a
    /// thread of its own: two that waited on the threads of Swift's own pool would, on two cores, keep the service
    /// from answering at all.
    static func sendThenWait(_ text: String, port: Int) async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "slow client").async {
                continuation.resume(with: Result { try Connection(port: port).sendThenWait(text) })
            }
        }
    }

    private func sendThenWait(_ text: String) throws -> Bool {
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            return true
        }
        var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        while poll(&readable, 1, 60_000) == 1 {
            if recv(descriptor, &byte, 1, 0) <= 0 { return true }
        }
        return false
    }
}
