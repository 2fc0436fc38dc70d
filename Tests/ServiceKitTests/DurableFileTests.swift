import Foundation
import ServiceKit
import Testing

@Suite("Files that are on disk when they are written")
struct DurableFileTests {
    @Test("lines are added whole, and a stump of a machine that went swallows none")
    func stump() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "durable-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "list.ndjson")
        try DurableFile.append("one\n", to: file)
        try Data("one\ntw".utf8).write(to: file)
        try DurableFile.append("three\nfour\n", to: file)
        #expect(try String(contentsOf: file, encoding: .utf8) == "one\ntw\nthree\nfour\n")
    }

    @Test("several that write to one file lose nothing of each other's")
    func several() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "durable-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "list.ndjson")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 { group.addTask { try DurableFile.append("line \(number)\n", to: file) } }
            try await group.waitForAll()
        }
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(Set(lines) == Set((0..<20).map { "line \($0)" }) && lines.count == 20)
    }
}
