import Foundation
import Models
import NIOCore
import NIOPosix
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Requests that are answered directly",
    .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct DirectLaneTests {
    private func withProbe<T>(_ body: (ServiceHarness) async throws -> T) async throws -> T {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        return try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(Instant(milliseconds: 0)),
            workers: false, body)
    }

    private static func post(_ body: String, headers: [String] = [], path: String = "/v1/direct") -> String {
        let lines = ["POST \(path) HTTP/1.1", "Host: x", "Content-Length: \(body.utf8.count)"] + headers
        return (lines + ["", body]).joined(separator: "\r\n")
    }

    /// Sends the pieces, each once what came before it was taken, and returns what comes back until `count` bodies are
    /// there or the connection ends.
    private static func talk(
        _ service: ServiceHarness, _ pieces: [String], bodies count: Int, halfClose: Bool = false
    ) async throws -> [JSON] {
        let port = try #require(service.baseURL.split(separator: ":").last.flatMap { Int($0) })
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            for piece in pieces { try await outbound.write(ByteBuffer(string: piece)) }
            if halfClose { outbound.finish() }
            var text = ""
            for try await part in inbound {
                text += String(buffer: part)
                let found = Self.bodies(text)
                if found.count >= count { return found }
            }
            return Self.bodies(text)
        }
    }

    /// The bodies of the answers, which are JSON without line breaks.
    private static func bodies(_ text: String) -> [JSON] {
        text.components(separatedBy: "HTTP/1.1 ").dropFirst().compactMap { answer in
            guard let end = answer.range(of: "\r\n\r\n") else { return nil }
            return try? JSONParser.parse(String(answer[end.upperBound...]))
        }
    }

    @Test("a plain request is answered directly, at once or later")
    func direct() async throws {
        try await withProbe { service in
            for text in ["now", "later", ""] {
                let answer = try await service.request(
                    "POST", "/v1/direct", body: Array(text.utf8), as: .none)
                #expect(answer.status == 200)
                #expect(answer.json["direct"] == .string(text))
                #expect(answer.headers["content-type"] == "application/json")
                #expect(answer.headers["x-content-type-options"] == "nosniff")
            }
        }
    }

    @Test("what it is not made for goes the usual way, with its body whole")
    func usual() async throws {
        try await withProbe { service in
            let large = String(repeating: "x", count: 100_000)
            let answers: [(String, [String: String], ServiceHarness.Credential)] = [
                ("decline", [:], .none), (large, [:], .none),
                ("now", ["Content-Encoding": "identity"], .none),
                ("now", ["Connection": "close"], .none), ("now", [:], .service(.console)),
            ]
            for (text, headers, credential) in answers {
                let answer = try await service.request(
                    "POST", "/v1/direct", body: Array(text.utf8), headers: headers, as: credential)
                #expect(answer.json["usual"] == .string(text), "\(text.prefix(10)) \(headers)")
            }
            let chunked = try await Self.talk(
                service,
                [
                    "POST /v1/direct HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnow\r\n0\r\n\r\n"
                ],
                bodies: 1)
            #expect(chunked == [["usual": "now"]])
            let query = try await service.request(
                "POST", "/v1/direct?a=1", body: Array("now".utf8), as: .none)
            #expect(query.json["usual"] == "now")
        }
    }

    @Test("errors are the problems that they are everywhere, and nothing of the inside is told")
    func errors() async throws {
        try await withProbe { service in
            let refused = try await service.request(
                "POST", "/v1/direct", body: Array("refused".utf8), as: .none)
            #expect(refused.status == 400)
            #expect(refused.headers["content-type"] == "application/problem+json")
            let broken = try await service.request(
                "POST", "/v1/direct", body: Array("broken".utf8), as: .none)
            #expect(broken.status == 500)
            #expect(!broken.text.contains("secret"))
        }
    }

    @Test("requests of one connection are answered in their order, whichever way they take")
    func pipelined() async throws {
        try await withProbe { service in
            let texts = ["later", "decline", "a", "later", "b", "decline", "decline", "c", "later"]
            let all = texts.map { Self.post($0) }.joined()
            // Behind one that takes the usual way, the next does so as well.
            func said(_ answers: [JSON]) -> [String] {
                answers.compactMap { ($0["direct"] ?? $0["usual"])?.string }
            }
            let whole = try await Self.talk(service, [all], bodies: texts.count)
            #expect(whole.first == ["direct": "later"])
            #expect(said(whole) == texts)
            // In pieces that end anywhere.
            let bytes = Array(all.utf8)
            for length in [1, 7, 64] {
                let pieces = stride(from: 0, to: bytes.count, by: length).map {
                    String(decoding: bytes[$0..<min(bytes.count, $0 + length)], as: UTF8.self)
                }
                let pieced = try await Self.talk(service, pieces, bodies: texts.count)
                #expect(said(pieced) == texts)
            }
        }
    }

    @Test(
        "a head gets the same answer whole and bit by bit, however its lines end",
        arguments: [
            "\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n", "\r\nX-A: a\nX-B: b\r\n\r\n", "\r\n folded\r\n\r\n",
            "\r\n\u{1}\r\n\r\n",
        ])
    func ends(end: String) async throws {
        try await withProbe { service in
            let request = "POST /v1/direct HTTP/1.1\r\nHost: x\r\nContent-Length: 3\(end)now"
            let whole = try await Self.talk(service, [request], bodies: 1, halfClose: true)
            let bytes = Array(request.utf8)
            for length in [1, 2, 3, 40] {
                let pieces = stride(from: 0, to: bytes.count, by: length).map {
                    String(decoding: bytes[$0..<min(bytes.count, $0 + length)], as: UTF8.self)
                }
                // What was refused may be over before the last piece is written.
                let pieced = try? await Self.talk(service, pieces, bodies: 1, halfClose: true)
                if !whole.isEmpty { #expect(pieced?.first?["direct"] == whole.first?["direct"]) }
                #expect(pieced?.first?["usual"] == whole.first?["usual"])
            }
        }
    }

    @Test("a client that has said its last still gets its answer")
    func halfClosed() async throws {
        try await withProbe { service in
            for text in ["now", "later", "decline"] {
                let answers = try await Self.talk(service, [Self.post(text)], bodies: 1, halfClose: true)
                #expect(answers.count == 1, "\(text)")
            }
        }
    }

    @Test("a flood of pipelined requests is answered whole")
    func flood() async throws {
        try await withProbe { service in
            let body = String(repeating: "y", count: 10_000)
            let all = String(repeating: Self.post("later") + Self.post(body), count: 100)
            let answers = try await Self.talk(service, [all], bodies: 200)
            #expect(answers.count == 200)
        }
    }
}
