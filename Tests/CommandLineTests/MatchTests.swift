import ArgumentParser
import Foundation
import IdentityDomain
import Testing

@testable import CommandLine

@Suite("martlet match")
struct MatchTests {
    private let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
        "match-\(UUID().uuidString)")

    private func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

    @Test("a file comes back as pairs with their reasons, and as people")
    func matches() async throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        var text = "no, first ,last,born,mail\n"
        for person in 0..<60 {
            let name = "\(["ann", "bo", "cy", "dee", "eve"][person % 5]),name\(person * 7919 % 1000)"
            let rest = "19\(40 + person)-0\(1 + person % 9)-1\(person % 8),m\(person * 31)@x.org"
            text += "\"a,\(person)\",\(name),\(rest)\nb\(person),\(name),\(rest)\n"
        }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path("in.csv")))
        let command = try MatchCommand.parse([
            path("in.csv"), "--columns", "first=givenName,last=surname,born=dateOfBirth,mail=email", "--id",
            "no",
            "--pairs", path("pairs.csv"), "--clusters", path("people.csv"), "--explain", "--look-ups", "3",
        ])
        try await command.run()
        let pairs = try String(contentsOfFile: path("pairs.csv"), encoding: .utf8).split(separator: "\n")
        #expect(pairs[0] == "a,b,weight,probability,verdict,explanation")
        #expect(pairs.count == 61)
        #expect(
            pairs.dropFirst().allSatisfy {
                $0.contains("merge") && $0.contains("\"\"field\"\":\"\"email\"\"")
            })
        let people = try String(contentsOfFile: path("people.csv"), encoding: .utf8).split(separator: "\n")
        #expect(people[1] == "\"a,0\",\"a,0\"")
        #expect(people[2] == "b0,\"a,0\"")
    }

    @Test("mistakes are named before anything is read")
    func mistakes() {
        #expect(throws: (any Error).self) { try MatchCommand.parse(["f.csv", "--columns", "a"]) }
        #expect(throws: (any Error).self) { try MatchCommand.parse(["f.csv", "--columns", "a=nothing"]) }
        #expect(throws: (any Error).self) { try MatchCommand.parse(["f.csv", "--columns", "a=sex"]) }
        #expect(throws: (any Error).self) {
            try MatchCommand.parse(["f.csv", "--columns", "a=email", "--merge", "0.2"])
        }
        #expect(throws: (any Error).self) {
            try MatchCommand.parse(["f.csv", "--columns", "a=email", "--explain"])
        }
    }

    @Test("a column that is not there is refused with those that are")
    func noColumn() throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data("a,b\n1,2\n".utf8).write(to: URL(fileURLWithPath: path("in.csv")))
        let problem = #expect(throws: FileProblem.self) {
            try MatchFile(path: path("in.csv"), columns: try MatchColumns("c=email"), id: nil)
        }
        #expect(problem?.message.contains("a, b") == true)
    }
}
