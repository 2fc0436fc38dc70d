import Foundation
import Models
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import ServiceKit

@Suite("Heads that can be read in one way only")
struct PlainHeadTests {
    private static func read(_ text: String) -> PlainHead.Reading {
        Array(text.utf8).withUnsafeBytes { PlainHead.read($0) }
    }

    private static func head(_ text: String) -> PlainHead? {
        if case .head(let head) = read(text) { head } else { nil }
    }

    @Test("a head as SDKs write it is read")
    func plain() throws {
        let text = [
            "POST /v1/track HTTP/1.1", "Host: a", "authorization: Basic d2tfMTo=",
            "Content-TYPE: \t text/plain",
            "Content-Length: 17", "Connection: keep-alive", "traceparent: 00-1-2-01", "X-Other: \u{e9}", "",
            "",
        ].joined(separator: "\r\n")
        let head = try #require(Self.head(text + "body"))
        #expect(head.size == text.utf8.count && head.bodySize == 17 && head.isPost && head.isPlain)
        #expect(head.path == "/v1/track" && head.authorization == "Basic d2tfMTo=")
        #expect(head.contentType == "text/plain" && head.traceparent == "00-1-2-01")
        // Nothing shorter is one.
        for length in 0..<text.utf8.count {
            guard case .incomplete = Self.read(String(decoding: text.utf8.prefix(length), as: UTF8.self))
            else {
                // The prefix may cut a character in two, which is then another byte, and no less a value.
                Issue.record("a head of \(length) bytes is not whole")
                return
            }
        }
    }

    @Test(
        "whatever two readers could understand differently is left alone",
        arguments: [
            "POST / HTTP/1.0\r\nHost: a\r\n\r\n", "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "post / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: identity\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\rContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "POST /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n",
        ])
    func irregular(_ text: String) {
        guard case .irregular = Self.read(text) else {
            Issue.record("it was read")
            return
        }
    }

    @Test("a head without an end is let go once it is too long")
    func endless() {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: PlainHead.largest)
        guard case .irregular = Self.read(text) else {
            Issue.record("more was waited for")
            return
        }
    }

    @Test("what it reads, the server's own parser reads as well, and ends at the same byte")
    func oracle() throws {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: .min ... .max)
        print("heads: MARTLET_SEED=\(seed)")
        var generator = SeededGenerator(seed: seed)
        var read = 0
        for _ in 0..<1500 {
            let text = Self.random(&generator)
            guard let head = Self.head(text) else { continue }
            read += 1
            let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
            defer { _ = try? channel.finish() }
            let request = String(decoding: text.utf8.prefix(head.size), as: UTF8.self)
            try channel.writeInbound(
                ByteBuffer(string: request + String(repeating: "b", count: head.bodySize)))
            guard case .head(let parsed)? = try channel.readInbound(as: HTTPServerRequestPart.self) else {
                Issue.record("MARTLET_SEED=\(seed): the parser saw no head in \(request.debugDescription)")
                return
            }
            #expect(
                parsed.uri == head.path && (parsed.method == .POST) == head.isPost, "MARTLET_SEED=\(seed)")
            #expect(
                parsed.headers["content-length"].first.flatMap { Int($0) } ?? 0 == head.bodySize,
                "MARTLET_SEED=\(seed)")
            #expect(parsed.headers["authorization"].first == head.authorization, "MARTLET_SEED=\(seed)")
            #expect(parsed.headers["content-type"].first == head.contentType, "MARTLET_SEED=\(seed)")
            var body = 0
            var isEnded = false
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .body(let bytes): body += bytes.readableBytes
                case .end: isEnded = true
                case .head: Issue.record("MARTLET_SEED=\(seed): another request begins early")
                }
            }
            #expect(isEnded && body == head.bodySize, "MARTLET_SEED=\(seed): \(request.debugDescription)")
        }
        #expect(read > 100, "MARTLET_SEED=\(seed): too few heads were plain to say anything")
    }

    /// A head made of pieces that are mostly right.
    private static func random(_ generator: inout SeededGenerator) -> String {
        // Many mistakes at once tell nothing: half of the heads have none but in their values.
        let isCareful = Bool.random(using: &generator)
        func any(_ texts: [String], right: Int = 1) -> String {
            (isCareful ? texts.prefix(right) : texts[...]).randomElement(using: &generator) ?? ""
        }
        var text = any(["POST", "POST", "POST", "POST", "GET", "PUT", "post", "DELETE"])
        text +=
            any([" ", " ", " ", " ", " ", " ", "  ", "\t"])
            + any(["/v1/track", "/", "/v1/t", "/a", "/a?b=c%20d", "*", "/é"])
        text +=
            any([" HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", ""])
            + any(["\r\n", "\r\n", "\r\n", "\n"])
        text += any(["Host: a\r\n", "host:b\r\n", "Host: a\r\n", "Host: c\r\n", ""])
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            text += any(
                [
                    "Content-Length", "content-length", "Authorization", "Content-Type", "X-A", "Connection",
                    "Expect",
                    "Accept", "Transfer-Encoding", "Content-Encoding",
                ], right: 8)
            text += any([":", ": ", ": ", ": ", ":\t ", " : "])
            text += any(
                [
                    "0", "5", "017", "1, 1", "keep-alive", "close", "chunked", "text/plain", "", "a b", "é",
                ], right: 11)
            text += any([
                "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", " \r\n", "\n", "\r\n ",
            ])
        }
        return text + any(["\r\n", "\r\n", "\r\n", "\n"])
    }
}
