import Models
import Synchronization
import Testing

@testable import ServiceKit

@Suite("What is found of somebody, page by page")
struct PrivacyPagesTests {
    private struct Part: Sendable {
        let number: Int
        let member: String
        let items: [JSON]
    }

    /// What is in the report, and the parts that were sent.
    private func run(
        _ pages: [(String, [JSON])], limit: Int
    ) async throws -> (members: [String: [JSON]], count: Int, parts: [Part]) {
        let sent = Mutex<[Part]>([])
        let taker = PrivacyPages(limit: limit) { number, member, items in
            sent.withLock { $0.append(Part(number: number, member: member, items: items)) }
        }
        for (member, items) in pages { try await taker.take(member, items) }
        let (members, count) = try await taker.finish()
        return (members, count, sent.withLock { $0 })
    }

    @Test("what is little is in the report, also a list of nothing")
    func little() async throws {
        let (members, count, parts) = try await run(
            [("a", [1, 2]), ("b", []), ("a", [3])], limit: 1_000)
        #expect(count == 0 && parts.isEmpty)
        #expect(members == ["a": [1, 2, 3], "b": []])
    }

    @Test(
        "what is much goes in numbered parts of bounded size, none left out and in its order",
        arguments: 1...40)
    func much(seed: Int) async throws {
        var pages: [(String, [JSON])] = []
        var all: [String: [JSON]] = [:]
        var state = UInt64(seed)
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for index in 0..<(1 + next(30)) {
            let member = ["a", "b", "c"][min(index / 10, 2)]
            let items = (0..<next(40)).map { _ in JSON.string(String(repeating: "x", count: next(20))) }
            pages.append((member, items))
            all[member, default: []] += items
        }
        let (members, count, parts) = try await run(pages, limit: 300)
        #expect(parts.map(\.number) == Array(0..<count))
        #expect(count == 0 || members.isEmpty)
        var found = members
        for part in parts {
            found[part.member, default: []] += part.items
            #expect(JSON.array(part.items).compact.utf8.count < 300 + 30 + part.items.count + 2)
        }
        #expect(found == all)
    }

    @Test("whichever list of a large report is long goes in parts, and everything that is no list stays")
    func report() async throws {
        let long = (0..<40_000).map { JSON.string("\($0) \(String(repeating: "y", count: 90))") }
        let found: JSON = [
            "name": "ada", "counts": ["a": 1], "deep": ["list": [1, 2]], "long": .array(long), "none": [],
            "short": [1, 2],
        ]
        let sent = Mutex<[Part]>([])
        let pages = PrivacyPages(limit: PrivacyPages.partBytes) { number, member, items in
            sent.withLock { $0.append(Part(number: number, member: member, items: items)) }
        }
        let rest = try await PrivacyWorker.split(found, into: pages)
        let (members, count) = try await pages.finish()
        #expect(rest == ["name": "ada", "counts": ["a": 1], "deep": ["list": [1, 2]]])
        #expect(members.isEmpty && count >= 2)
        var whole = rest.object ?? [:]
        for part in sent.withLock({ $0 }) {
            #expect(JSON.array(part.items).compact.utf8.count < 3 << 20)
            whole[part.member] = .array((whole[part.member]?.array ?? []) + part.items)
        }
        #expect(JSON.object(whole) == found)
        // What is little is left as it is.
        let little: JSON = ["list": [1, 2, 3], "name": "ada"]
        let none = PrivacyPages(limit: 100) { _, _, _ in Issue.record("nothing is sent") }
        #expect(try await PrivacyWorker.split(little, into: none) == little)
    }
}
