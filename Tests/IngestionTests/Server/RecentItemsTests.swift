import IngestionDomain
import Models
import Testing

@testable import IngestionServer

@Suite("What is held for debuggers")
struct RecentItemsTests {
    private let web = SourceID(UUIDv7.derived(at: noon, from: "web"))

    private func note(
        _ count: Int, _ recent: RecentItems, of source: SourceID, size: Int = 10, since generation: Int = 1
    ) {
        let refusal = Refusal(.malformed, "no")
        recent.note(
            (0..<count).map { .refused(refusal, messageID: "\($0)") },
            (0..<count).map { _ in .refused(refusal) }, of: source, at: noon, since: generation
        ) { _ in size }
    }

    private func made(_ limits: RecentItems.Limits = RecentItems.Limits()) -> RecentItems {
        let recent = RecentItems(limits: limits)
        recent.heard(erasures: 0)
        return recent
    }

    @Test("of a large request its end is held, and numbers count the rest")
    func tail() throws {
        let recent = made()
        note(250, recent, of: web)
        note(1, recent, of: web)
        let held = try #require(recent.held(of: web)).items
        #expect(held.map(\.number) == Array(150...250))
        #expect(held.first?.item.messageID == "150")
        note(100, recent, of: web)
        #expect(try #require(recent.held(of: web)).items.map(\.number) == Array(251...350))
    }

    @Test("neither items, nor bytes, nor sources grow without end")
    func bounds() throws {
        let recent = made(RecentItems.Limits(items: 10, bytes: 1000, sources: 3))
        for _ in 0..<1000 { note(1, recent, of: web) }
        #expect(try #require(recent.held(of: web)).items.count == 10)
        for _ in 0..<20 { note(1, recent, of: web, size: 300) }
        #expect(try #require(recent.held(of: web)).items.count == 3)
        // Too large an item is counted, not held.
        note(1, recent, of: web, size: 2000)
        #expect(try #require(recent.held(of: web)).items.last?.number == 1019)
        let others = (0..<5).map { SourceID(UUIDv7.derived(at: noon, from: "s\($0)")) }
        for source in others { note(1, recent, of: source) }
        #expect(others.filter { recent.held(of: $0) != nil }.count == 3)
        #expect(recent.held(of: web) == nil)
    }

    @Test("a source that comes back after it made room is a ring of its own")
    func rings() throws {
        let recent = made(RecentItems.Limits(items: 10, bytes: 1000, sources: 1))
        note(1, recent, of: web)
        let first = try #require(recent.held(of: web)).ring
        note(1, recent, of: SourceID(UUIDv7.derived(at: noon, from: "other")))
        note(1, recent, of: web)
        #expect(try #require(recent.held(of: web)).ring != first)
    }

    @Test("what was written before everything was cleared is not noted after it")
    func generations() throws {
        let recent = made()
        let before = recent.generation
        note(2, recent, of: web, since: before)
        recent.heard(erasures: 1)
        #expect(try #require(recent.held(of: web)).items.isEmpty)
        note(1, recent, of: web, since: before)
        #expect(try #require(recent.held(of: web)).items.isEmpty)
        note(1, recent, of: web, since: recent.generation)
        #expect(try #require(recent.held(of: web)).items.map(\.number) == [2])
        #expect(try #require(recent.held(of: web)).erasures == 1)
    }
}
