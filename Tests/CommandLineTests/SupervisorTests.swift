import Foundation
import Models
import Testing

@testable import CommandLine

@Suite struct SupervisorTests {
    /// A folder with a script that stands in for a service.
    private func scene(_ script: String) throws -> (folder: String, plan: Supervisor.Plan) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let executable = folder + "/martlet-ingestion"
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(fileURLWithPath: executable))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: executable)
        return (
            folder,
            Supervisor.Plan(
                service: .ingestion, executable: executable, environment: ["PATH": "/usr/bin:/bin"],
                url: "http://127.0.0.1:1", log: folder + "/log")
        )
    }

    /// Looks again until the log has so many lines.
    private func lines(_ path: String, atLeast count: Int) async throws -> [String] {
        while true {
            let text =
                FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let lines = text.split(separator: "\n").map(String.init)
            if lines.count >= count { return lines }
            await Task.yield()
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test("a service that ends is started again, and stopping lets it finish", .timeLimit(.minutes(1)))
    func restarts() async throws {
        let (folder, plan) = try scene(
            """
            trap 'echo finished; exit 0' TERM
            echo started $1
            [ -e "$0.again" ] || { : > "$0.again"; exit 3; }
            while :; do sleep 0.01; done
            """)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let supervisor = Supervisor(plans: [plan], runFile: folder + "/services.json", say: { _ in })
        await supervisor.start()
        #expect(try await lines(plan.log, atLeast: 2) == ["started serve", "started serve"])
        #expect(await supervisor.entries.first?.restarts == 1)
        await supervisor.stop()
        #expect(try await lines(plan.log, atLeast: 3).last == "finished")
        #expect(!FileManager.default.fileExists(atPath: folder + "/services.json"))
    }

    @Test("a service that does not finish in time is ended", .timeLimit(.minutes(1)))
    func patience() async throws {
        let (folder, plan) = try scene("trap '' TERM\necho started\nwhile :; do sleep 0.01; done")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let supervisor = Supervisor(plans: [plan], runFile: folder + "/services.json", say: { _ in })
        await supervisor.start()
        _ = try await lines(plan.log, atLeast: 1)
        await supervisor.stop(patience: .milliseconds(50))
        #expect(await supervisor.entries.first?.state == "stopped")
    }

    @Test("a child inherits no descriptors and writes to the end of its log")
    func descriptors() async throws {
        let (folder, plan) = try scene("ls /proc/self/fd | wc -l")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data("before\n".utf8).write(to: URL(fileURLWithPath: plan.log))
        let child = try ChildProcess.start(
            executable: plan.executable, arguments: [], environment: plan.environment, log: plan.log)
        _ = await child.end()
        // The three standard ones, and the folder that `ls` has open.
        #expect(
            try await lines(plan.log, atLeast: 2).map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
                == ["before", "4"])
    }

    @Test("a log that has grown is moved away, and three old pieces are kept")
    func rotation() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = folder + "/a.log"
        let rotation = LogRotation(files: [log], limit: 10)
        for round in 0..<6 {
            try Data("round \(round) is long enough".utf8).write(to: URL(fileURLWithPath: log))
            rotation.rotate(log)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(names == ["a.log", "a.log.1", "a.log.2", "a.log.3"])
        #expect(
            FileManager.default.contents(atPath: log + ".1").map { String(decoding: $0, as: UTF8.self) }
                == "round 5 is long enough")
        #expect(FileManager.default.contents(atPath: log)?.count == 0)
    }
}
