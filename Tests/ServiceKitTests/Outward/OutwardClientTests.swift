import ServiceKit
import Synchronization
import TestSupport
import Testing

@Suite("Calls to URLs that somebody outside has named")
struct OutwardClientTests {
    private let loopback = IPNetwork("127.0.0.0/8")

    private func client(
        allowing: Bool = true, http: Bool = true, timeout: Duration = .seconds(60),
        resolver: HostResolver = .system
    ) -> OutwardClient {
        OutwardClient(
            rule: AddressRule(allowed: allowing ? [loopback].compactMap { $0 } : []), allowsHTTP: http,
            resolver: resolver, connectTimeout: .seconds(30), timeout: timeout)
    }

    private func resolver(_ answers: [String]...) -> HostResolver {
        let left = LeftAnswers(answers.map { $0.compactMap { IPAddress($0) } })
        return HostResolver { _ in left.next() }
    }

    @Test("the connection goes to the address that was checked, and the host keeps its name")
    func pinned() async throws {
        try await HTTPReceiver.with { receiver in
            let url = try OutwardURL(receiver.url("/in?x=1", host: "hooks.example.test"))
            let answer = await client(resolver: resolver(["127.0.0.1"])).post(
                Array("{}".utf8), to: url, headers: [("content-type", "application/json"), ("x-a", "b")])
            #expect(answer == .status(204, retryAfter: nil))
            let received = try #require(receiver.received.first)
            #expect(received.host == "hooks.example.test:\(receiver.port)")
            #expect(received.path == "/in")
            #expect(received.headers["x-a"] == "b")
            #expect(received.text == "{}")
        }
    }

    @Test("a name that leads elsewhere a moment later is refused, and nothing reaches the inside")
    func rebinding() async throws {
        try await HTTPReceiver.with { receiver in
            let url = try OutwardURL(receiver.url(host: "rebind.example.test"))
            let client = client(allowing: false, resolver: resolver(["93.184.215.14"], ["127.0.0.1"]))
            #expect(try await client.addresses(of: url).map(\.description) == ["93.184.215.14"])
            #expect(await client.post([], to: url, headers: []) == .failure(.forbiddenAddress))
            #expect(receiver.received.isEmpty)
        }
    }

    @Test("one forbidden address among several is enough to refuse the name")
    func mixed() async throws {
        let url = try OutwardURL("https://mixed.example.test/")
        await #expect(throws: OutwardClient.Failure.forbiddenAddress) {
            try await client(allowing: false, resolver: resolver(["1.1.1.1", "10.0.0.1"])).addresses(of: url)
        }
    }

    @Test(
        "hosts of the inside are refused by the system's own resolver too",
        arguments: ["http://localhost/", "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"])
    func inside(_ text: String) async throws {
        let url = try OutwardURL(text)
        await #expect(throws: OutwardClient.Failure.forbiddenAddress) {
            try await client(allowing: false).addresses(of: url)
        }
    }

    @Test("plain http is for development alone, and a name that leads nowhere is told as such")
    func refusals() async throws {
        let plain = try OutwardURL("http://1.1.1.1/")
        await #expect(throws: OutwardClient.Failure.insecure) {
            try await client(http: false).addresses(of: plain)
        }
        let nowhere = try OutwardURL("https://nowhere.example.test/")
        await #expect(throws: OutwardClient.Failure.unresolvable) {
            try await client(resolver: resolver([])).addresses(of: nowhere)
        }
    }

    @Test("redirects are not followed")
    func redirect() async throws {
        try await HTTPReceiver.with { received in
            HTTPReceiver.Reply(307, headers: ["Location": "/elsewhere"])
        } _: { receiver in
            let answer = await client().post([], to: try OutwardURL(receiver.url("/first")), headers: [])
            #expect(answer == .status(307, retryAfter: nil))
            #expect(receiver.received.map(\.path) == ["/first"])
        }
    }

    @Test("of a large answer only the beginning is read, and Retry-After is passed on")
    func large() async throws {
        try await HTTPReceiver.with { _ in
            HTTPReceiver.Reply(
                503, headers: ["Retry-After": "7"], body: String(repeating: "x", count: 8 << 20))
        } _: { receiver in
            let answer = await client().post([], to: try OutwardURL(receiver.url()), headers: [])
            #expect(answer == .status(503, retryAfter: "7"))
        }
    }

    @Test("a receiver that never answers is given up")
    func timeout() async throws {
        let gate = Gate()
        try await HTTPReceiver.with { _ in
            await gate.wait()
            return HTTPReceiver.Reply(200)
        } _: { receiver in
            let url = try OutwardURL(receiver.url())
            let answer = await client(timeout: .milliseconds(300)).post([], to: url, headers: [])
            #expect(answer == .failure(.timeout))
            await gate.open()
        }
    }

    @Test("nobody there is unreachable, and the next address of the name is tried")
    func fallback() async throws {
        try await HTTPReceiver.with { receiver in
            let closed = try OutwardURL("http://127.0.0.1:1/")
            #expect(await client().post([], to: closed, headers: []) == .failure(.unreachable))
            // The receiver listens on 127.0.0.1 alone.
            let both = try OutwardURL(receiver.url(host: "both.example.test"))
            let answer = await client(resolver: resolver(["127.0.0.9", "127.0.0.1"])).post(
                [], to: both, headers: [])
            #expect(answer == .status(204, retryAfter: nil))
        }
    }
}

/// Answers one after the other; the last stays.
private final class LeftAnswers: Sendable {
    private let left: Mutex<[[IPAddress]]>

    init(_ answers: [[IPAddress]]) { left = Mutex(answers) }

    func next() -> [IPAddress] {
        left.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? [] }
    }
}
