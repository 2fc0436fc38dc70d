import Foundation
import Models
import Testing

@testable import CommandLine

@Suite("What martlet restore reads")
struct RecallFileTests {
    private static let profile = "01890000-0000-7000-8000-000000000001"
    private static let request = "01890000-0000-7000-8000-000000000002"

    private func file(_ text: String) throws -> RecallFile {
        let path = FileManager.default.temporaryDirectory.appending(path: "recall-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(text.utf8).write(to: URL(filePath: path))
        return try RecallFile(path: path)
    }

    private static let lines = [
        #"{"at":"2026-11-01T00:00:00.000Z","id":"\#(request)","kind":"erasure","profileIds":["\#(profile)"],"regime":"gdpr","type":"erasure"}"#,
        #"{"at":"2026-11-01T00:00:00.000Z","id":"\#(request)","kind":"restriction","profileIds":["\#(profile)"],"regime":"gdpr","type":"restriction"}"#,
        #"{"at":"2026-11-01T00:00:00.000Z","id":"\#(request)","kind":"lifting"}"#,
        #"{"at":"2026-11-01T00:00:00.000Z","hash":"00ff","id":"email 00ff","kind":"identifier","shard":7,"type":"email"}"#,
        #"{"action":"withdraw","at":"2026-11-01T00:00:00.000Z","id":"x","kind":"withdrawal","occurredAt":"2026-11-01T00:00:00.000Z","profileId":"\#(profile)","purpose":"marketing","source":"form (old)"}"#,
        #"{"at":"2026-11-01T00:00:00.000Z","id":"x","keyId":"\#(request)","kind":"key","revoked":true}"#,
    ]

    @Test("each line is what it says, and what nobody may call a source is written so that somebody may")
    func lines() throws {
        let file = try file(Self.lines.joined(separator: "\n") + "\n")
        #expect(!file.isCutOff)
        let profile = try #require(ProfileID(Self.profile))
        #expect(file.erasures.map(\.profiles) == [[profile]])
        #expect(file.restrictions.count == 1 && file.liftings == [Self.request])
        #expect(file.identifiers.first?.hash == [0, 255] && file.identifiers.first?.shard == 7)
        #expect(file.keys.map(\.isRevoked) == [true])
        #expect(file.withdrawals.first?["source"]?.string == "form -old-")
        #expect(file.withdrawals.first?[path: "subject.profileId"]?.string == Self.profile)
    }

    @Test("an erasure that is told once more is of everybody whom either line names")
    func merged() throws {
        let other = "01890000-0000-7000-8000-000000000003"
        let second = Self.lines[0].replacing(
            "[\"\(Self.profile)\"]", with: "[\"\(other)\",\"\(Self.profile)\"]")
        let file = try file(Self.lines[0] + "\n" + second + "\n")
        #expect(file.erasures.map { $0.profiles.map(\.description) } == [[Self.profile, other]])
    }

    @Test(
        "a last line that was being written is left out and told; another that does not read is told with its number, and keeps no other from being read"
    )
    func mistakes() throws {
        let cut = try file(Self.lines[0] + "\n" + Self.lines[1].prefix(40))
        #expect(cut.isCutOff && cut.erasures.count == 1 && cut.restrictions.isEmpty)
        for wrong in ["{", #"{"kind":"guess"}"#, #"{"kind":"erasure","id":"x"}"#, "[]"] {
            let file = try file(Self.lines[0] + "\n" + wrong + "\n" + Self.lines[1] + "\n")
            #expect(
                file.unread == [2] && file.erasures.count == 1 && file.restrictions.count == 1, "\(wrong)")
        }
        #expect(throws: CommandProblem.self) { try RecallFile(path: "/nowhere/at/all") }
    }
}
