import ConsentDomain
import Foundation
import IngestionDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IngestionServer

/// Imports of a running service, whose worker the test steps itself.
struct Importing: Sendable {
    let collecting: Collecting
    let imports: Imports

    static let mapping = """
        mapping: orders
        columns: {order: text, quantity: integer, price: decimal, at: {type: time, format: rfc3339}, who: text}
        group-by: order
        skip:
          - {reason: test order, when: [{column: who, is: tester}]}
        events:
          - id: order
            type: track
            event: Order Completed
            user-id: "{who}"
            timestamp: at
            properties:
              order_id: "{order}"
              total: {sum-of: [quantity, price]}
        """

    /// Ten orders in 14 rows: 8 become events, one is skipped, one is unreadable.
    static let orders = """
        order,quantity,price,at,who
        1,1,2.50,2026-01-01T10:00:00Z,ada
        2,1,2.50,2026-01-01T10:00:00Z,ben
        1,2,1.00,2026-01-01T10:00:00Z,ada
        3,1,2.50,2026-01-01T10:00:00Z,tester
        3,1,2.50,2026-01-01T10:00:00Z,tester
        4,one,2.50,2026-01-01T10:00:00Z,cid
        4,1,2.50,2026-01-01T10:00:00Z,cid
        5,1,2.50,2026-01-01T10:00:00Z,dot
        6,1,2.50,1969-01-01T10:00:00Z,eve
        7,1,2.50,2026-01-01T10:00:00Z,fay
        8,1,2.50,2026-01-01T10:00:00Z,gil
        9,1,2.50,2026-01-01T10:00:00Z,hal
        10,1,2.50,2026-01-01T10:00:00Z,ian
        2,1,1.50,2026-01-01T10:00:00Z,ben

        """

    static func with(
        settings: [String: String] = [:], _ body: (Importing) async throws -> Void
    ) async throws {
        try await Collecting.with(settings: settings) { collecting in
            try await body(try Importing(collecting, settings: settings))
        }
    }

    init(_ collecting: Collecting, settings: [String: String] = [:]) throws {
        self.collecting = collecting
        let context = collecting.service.context
        let sources = SourceDirectory(store: SourceStore(pool: context.pool))
        let rules = EventRules(
            policies: ConsentPolicyReader { try ConsentPolicy(json: $0) }, profiles: collecting.profiles)
        imports = try Imports(
            context, sources: sources,
            log: EventLog(
                pool: context.pool, clock: context.clock, window: .days(30), profiles: collecting.profiles,
                rules: rules),
            reading: ItemReading(
                preparation: EventPreparation(secret: Array(try context.settings.identifierSecret().utf8)),
                rules: rules),
            limits: .importing)
    }

    func call(
        _ method: String, _ path: String, json: JSON? = nil, body: [UInt8]? = nil,
        headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await collecting.service.request(method, path, json: json, body: body, headers: headers)
    }

    func create(
        format: String = "csv", mapping: String? = Importing.mapping, _ more: [String: JSON] = [:],
        key: String? = nil
    ) async throws -> ServiceHarness.Answer {
        var members: [String: JSON] = [
            "name": "orders", "sourceId": .string(collecting.sourceID.description), "format": .string(format),
        ]
        members["mappingYAML"] = mapping.map { .string($0) }
        members.merge(more) { $1 }
        return try await call(
            "POST", "/v1/imports", json: .object(members),
            headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    /// An import with its file, not running yet.
    func draft(
        _ text: String = Importing.orders, format: String = "csv", mapping: String? = Importing.mapping,
        _ more: [String: JSON] = [:]
    ) async throws -> String {
        let made = try await create(format: format, mapping: mapping, more)
        #expect(made.status == 201, "\(made.text)")
        let id = try #require(made.json["importId"]?.string)
        let stored = try await upload(Array(text.utf8), to: id)
        #expect(stored.status == 200, "\(stored.text)")
        return id
    }

    func upload(_ bytes: [UInt8], to id: String, at offset: Int = 0) async throws -> ServiceHarness.Answer {
        try await call(
            "PUT", "/v1/imports/\(id)/file?offset=\(offset)", body: bytes,
            headers: ["Content-Type": "application/octet-stream"])
    }

    func act(_ action: String, on id: String) async throws -> ServiceHarness.Answer {
        try await call("POST", "/v1/imports/\(id)/\(action)")
    }

    func get(_ id: String) async throws -> JSON { try await call("GET", "/v1/imports/\(id)").json }
    func report(_ id: String) async throws -> JSON { try await call("GET", "/v1/imports/\(id)/report").json }

    /// Starts an import and takes it in.
    func run(_ id: String) async throws {
        let answer = try await act("run", on: id)
        #expect(answer.status == 200, "\(answer.text)")
        while try await imports.worker.runOne() {}
    }

    func id(_ text: String) throws -> ImportID { try #require(ImportID(text)) }

    /// What was accepted, by message id.
    func accepted() async throws -> [String: JSON] {
        Dictionary(
            try await collecting.stored().map { ($0.messageID, JSON.object($0.properties)) },
            uniquingKeysWith: { first, _ in ["doubled": first] })
    }

    func pieces() async throws -> Int {
        let pool = collecting.database.pool(maxConnections: 1)
        let rows = try await pool.query("SELECT count(*) AS count FROM ingestion.import_chunk")
        await pool.close()
        return try rows.first?.get("count", as: Int.self) ?? -1
    }

    /// What Python's gzip makes of bytes.
    static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        try python(
            "import sys, gzip; sys.stdout.buffer.write(gzip.compress(open(sys.argv[1], 'rb').read()))", bytes)
    }

    static func python(_ program: String, _ bytes: [UInt8]) throws -> [UInt8] {
        let file = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID()).bin")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(bytes).write(to: file)
        let python = Process()
        python.executableURL = URL(filePath: "/usr/bin/env")
        python.arguments = ["python3", "-c", program, file.path]
        let output = Pipe()
        python.standardOutput = output
        try python.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        python.waitUntilExit()
        return Array(data)
    }
}
