import Foundation
import IngestionDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Imports while they run",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ImportRunTests {
    /// Orders with scattered rows, unreadable ones, skipped ones and impossible times.
    private static func file(_ random: inout SeededGenerator) -> String {
        var lines = ["order,quantity,price,at,who"]
        let orders = random.number(5...40)
        for _ in 0..<random.number(10...120) {
            let order = random.number(1...orders)
            lines.append(
                [
                    random.chance(25) ? "" : "\(order)",
                    random.chance(25) ? "one" : "\(random.number(1...9))",
                    "\(random.number(0...99)).\(random.number(10...99))",
                    order % 9 == 0 ? "1969-01-01T10:00:00Z" : "2026-01-01T10:00:00Z",
                    order % 7 == 0 ? "tester" : "u\(order)",
                ].joined(separator: ","))
        }
        return lines.joined(separator: "\n")
    }

    /// What became of an import, without what differs from run to run.
    private static func result(_ id: String, _ importing: Importing) async throws -> JSON {
        var report = try await importing.report(id).object ?? [:]
        report["importId"] = nil
        return .object(report)
    }

    @Test("paused, killed and gone on anywhere, an import comes to what it comes to in one go")
    func interruptions() async throws {
        var random = planGenerator()
        for _ in 0..<6 {
            let text = Self.file(&random)
            var whole: (report: JSON, events: [String: JSON])?
            try await Importing.with { importing in
                let id = try await importing.draft(text)
                try await importing.run(id)
                whole = (try await Self.result(id, importing), try await importing.accepted())
            }
            let settings = ["MARTLET_INGESTION_IMPORT_BATCH_EVENTS": "\(random.number(1...4))"]
            let (start, pieces) = (random, random.number(20...500))
            try await Importing.with(settings: settings) { importing in
                var random = start
                let made = try await importing.create()
                let id = try #require(made.json["importId"]?.string)
                for (index, piece) in ImportPieces.cut(text, pieces).enumerated() {
                    _ = try await importing.upload(piece, to: id, at: index * pieces)
                }
                _ = try await importing.act("run", on: id)
                var steps = 0
                while try await importing.get(id)["state"] != "done", steps < 500 {
                    steps += 1
                    // As if the process had been killed after so many batches.
                    try await importing.imports.runner.run(
                        try importing.id(id), batches: random.number(0...4))
                    if random.chance(3), try await importing.get(id)["state"] == "running" {
                        _ = try await importing.act("pause", on: id)
                        try await importing.imports.runner.run(try importing.id(id))
                        #expect(try await importing.get(id)["state"] == "paused")
                        _ = try await importing.act("resume", on: id)
                    }
                }
                let report = try await Self.result(id, importing)
                let events = try await importing.accepted()
                #expect(report == whole?.report)
                #expect(events == whole?.events)
                let account = try await importing.collecting.reconciliation()
                #expect(account["balanced"] == true)
                #expect(try await importing.pieces() == 0)
            }
        }
    }

    @Test("several runners at one import take each batch in once")
    func rivals() async throws {
        try await Importing.with(settings: ["MARTLET_INGESTION_IMPORT_BATCH_EVENTS": "1"]) { importing in
            let id = try await importing.draft()
            _ = try await importing.act("run", on: id)
            let key = try importing.id(id)
            let runner = importing.imports.runner
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await runner.run(key) } }
                try await group.waitForAll()
            }
            while try await importing.get(id)["state"] == "running" { try await runner.run(key) }
            let done = try await importing.get(id)
            #expect(
                done["events"] == [
                    "received": 8, "accepted": 7, "duplicate": 0, "quarantined": 1, "refused": 0,
                ])
            #expect(try await importing.collecting.stored().count == 7)
        }
    }

    @Test("an import that somebody else has leased is left to them")
    func leases() async throws {
        try await Importing.with { importing in
            let id = try await importing.draft()
            _ = try await importing.act("run", on: id)
            let other = importing.collecting.database.pool(as: .ingestion, maxConnections: 1)
            let held = try await other.withConnection { connection in
                _ = try await connection.query(
                    "SELECT pg_advisory_lock(\(ImportWorker.key), \(ImportWorker.key(of: try importing.id(id))))"
                )
                return try await importing.imports.worker.runOne()
            }
            #expect(held == false)
            await other.close()
        }
    }

    @Test("a preview shows what the run then does, and stores nothing")
    func preview() async throws {
        try await Importing.with { importing in
            // Something of it is there already.
            let one = "order,quantity,price,at,who\n5,1,2.50,2026-01-01T10:00:00Z,dot\n"
            try await importing.run(try await importing.draft(one))
            let before = try await Self.everything(importing)
            let id = try await importing.draft()
            let preview = try await importing.act("preview", on: id)
            #expect(preview.status == 200, "\(preview.text)")
            let groups = preview.json["groups"]?.array ?? []
            #expect(preview.json["readToEnd"] == true)
            #expect(groups.map { $0["line"] } == [2, 3, 5, 7, 9, 10, 11, 12, 13, 14])
            #expect(groups.map { $0["rows"] } == [2, 2, 2, 2, 1, 1, 1, 1, 1, 1])
            #expect(groups[2]["outcome"] == "skipped" && groups[2]["reason"] == "test order")
            #expect(groups[3][path: "problems.0.found"] == "one")
            #expect(groups[0][path: "events.0.event.properties.total"] == "4.50")
            #expect(try await Self.everything(importing) == before)
            #expect(try await importing.get(id)["state"] == "draft")

            var verdicts: [String: Int64] = [:]
            for group in groups {
                for event in group["events"]?.array ?? [] {
                    verdicts[event["status"]?.string ?? "?", default: 0] += 1
                }
            }
            try await importing.run(id)
            let done = try await importing.get(id)
            for verdict in ["accepted", "duplicate", "quarantined", "refused"] {
                #expect(done[path: "events.\(verdict)"] == .integer(verdicts[verdict] ?? 0), "\(verdict)")
            }
            #expect(verdicts == ["accepted": 6, "duplicate": 1, "quarantined": 1])
        }
    }

    /// How much is in every table that a run writes.
    private static func everything(_ importing: Importing) async throws -> [String] {
        let pool = importing.collecting.database.pool(maxConnections: 1)
        var counts: [String] = []
        for table in [
            "stream_events", "stream_head", "message_key", "quarantine", "reconciliation", "import_problem",
        ] {
            let rows = try await pool.query(
                "SELECT coalesce(string_agg(t::text, ';' ORDER BY t::text), '') AS rows FROM ingestion.\(identifier: table) t"
            )
            counts.append(try rows.first?.get("rows", as: String.self) ?? "")
        }
        await pool.close()
        return counts
    }

    @Test("a preview shows the first 20 rows and those that belong to them, also of half a file")
    func previewOfHalf() async throws {
        try await Importing.with { importing in
            let header = "order,quantity,price,at,who\n"
            let rows = (1...30).map { "\($0),1,1.00,2026-01-01T10:00:00Z,u\n" }.joined()
            let text = header + rows + "1,1,1.00,2026-01-01T10:00:00Z,u\n31,1,1.0"
            let made = try await importing.create(["expectedBytes": 100_000])
            let id = try #require(made.json["importId"]?.string)
            _ = try await importing.upload(Array(text.utf8), to: id)
            let preview = try await importing.act("preview", on: id).json
            #expect(preview["readToEnd"] == false)
            #expect(preview["groups"]?.array?.count == 20)
            #expect(preview[path: "groups.0.rows"] == 2)
            let bad = try await importing.draft("who\n")
            let answer = try await importing.act("preview", on: bad)
            #expect(answer.status == 422)
            #expect(answer.json["line"] == 1)
        }
    }

    @Test("what a tracking plan says holds for what is imported as well")
    func plan() async throws {
        try await Importing.with { importing in
            let plan: JSON = [
                "mode": "quarantine", "unplanned": "allow",
                "events": ["Order Completed": ["type": "object", "required": ["coupon"]]],
            ]
            let put = try await importing.call(
                "PUT", "/v1/sources/\(importing.collecting.sourceID)/tracking-plan", json: plan)
            try #require(put.status < 300, "\(put.text)")
            let id = try await importing.draft()
            try await importing.run(id)
            let done = try await importing.get(id)
            #expect(done[path: "events.quarantined"] == 8, "\(done.compact)")
            #expect(try await importing.collecting.stored().isEmpty)
        }
    }

    @Test("it waits while the database is away, and goes on")
    func away() async throws {
        try await Importing.with(settings: ["MARTLET_INGESTION_IMPORT_BATCH_EVENTS": "1"]) { importing in
            let id = try await importing.draft()
            _ = try await importing.act("run", on: id)
            let owner = importing.collecting.database.pool(maxConnections: 1)
            let (runner, key) = (importing.imports.runner, try importing.id(id))
            async let running: Void = runner.run(key)
            for _ in 0..<5 {
                _ = try await owner.query(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                    """)
            }
            try await running
            await owner.close()
            let done = try await importing.get(id)
            #expect(done["state"] == "done", "\(done.compact)")
            #expect(done[path: "events.accepted"] == 7)
            #expect(try await importing.collecting.stored().count == 7)
        }
    }
}

enum ImportPieces {
    static func cut(_ text: String, _ size: Int) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        return stride(from: 0, to: bytes.count, by: size).map {
            Array(bytes[$0..<min(bytes.count, $0 + size)])
        }
    }
}
