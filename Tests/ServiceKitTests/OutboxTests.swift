import Logging
import Models
import Postgres
import TestSupport
import Testing

@testable import ServiceKit

@Suite(
    "What a receiver says to a call of the outbox",
    .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"), .timeLimit(.minutes(2)))
struct OutboxTests {
    private func withProbe(
        _ settings: [String: String] = [:], _ body: (ServiceHarness, TestDatabase) async throws -> Void
    ) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        try await ServiceHarness.with(
            ProbeService.definition, database: database,
            clock: SimulatedClock(Instant(milliseconds: 1_700_000_000_000)), workers: false,
            settings: settings
        ) { try await body($0, database) }
    }

    @Test("a call about something that is gone is done with; one about something unknown waits")
    func gone() async throws {
        // Ports are not known before, so the receiver is a second probe.
        try await withProbe { receiver, _ in
            try await withProbe(["MARTLET_INGESTION_URL": receiver.baseURL]) { service, database in
                for path in ["/v1/gone", "/v1/nothing"] {
                    let called = try await service.request("POST", "/v1/call?path=\(path)", as: .none)
                    #expect(called.status == 202)
                }
                let owner = database.pool()
                try await owner.execute("UPDATE identity.outbox SET method = 'GET'")
                let worker = OutboxWorker(
                    schema: "identity", pool: service.context.pool, hub: service.context.hub,
                    http: service.context.http, vault: service.context.vault,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
                #expect(try await worker.flush() >= 2)
                let left = try await owner.query("SELECT path, last_error FROM identity.outbox ORDER BY path")
                let rows = try left.map { row in
                    try "\(row.get("path", as: String.self)) \(row.get("last_error", as: String?.self) ?? "")"
                }
                #expect(rows == ["/v1/nothing status 404"])
                await owner.close()
            }
        }
    }
}
