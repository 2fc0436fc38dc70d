import Models
import Postgres
import Streams
import Synchronization
import TestSupport
import Testing

@testable import ServiceKit

@Suite(
    "Privacy requests in a service", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"),
    .timeLimit(.minutes(2)))
struct PrivacyTests {
    private static let start = Instant(milliseconds: 1_700_000_000_000)
    private static let profile = ProfileID(UUIDv7.derived(at: start, from: "profile"))

    @Test("what can't be carried out is reported as failed, without the words of the error")
    func failure() async throws {
        let report = try await Self.report(of: .erasure) { _, _ in
            throw ProbeService.SecretBearingError(text: "jo@example.org")
        }
        #expect(report["status"] == "failed")
        #expect(report["error"]?.string?.contains("identity-privacy") == true)
        #expect(!report.compact.contains("jo@example.org"))
    }

    @Test("what is to follow from an erasure that failed is told along with the report, of an access nothing")
    func following() async throws {
        for kind in PrivacyRequest.Kind.allCases {
            let told = Mutex(0)
            _ = try await Self.report(
                of: kind,
                failed: { request, transaction in
                    #expect(request.type == .erasure)
                    try await transaction.execute("SELECT 1")
                    told.withLock { $0 += 1 }
                }
            ) { _, _ in throw ProbeService.SecretBearingError(text: "x") }
            #expect(told.withLock { $0 } == (kind == .erasure ? 1 : 0))
        }
    }

    @Test("an erasure takes what lay in quarantine about the person, and says how much")
    func quarantine() async throws {
        let report = try await Self.report(of: .erasure) { _, _ in ["things": 2] }
        #expect(report["status"] == "completed")
        #expect(report["result"] == ["things": 2, "streamQuarantine": 1])
    }

    /// What consent is told after one request.
    private static func report(
        of kind: PrivacyRequest.Kind, failed: PrivacyHandler.Failure? = nil,
        _ act: @escaping PrivacyHandler.Act
    ) async throws -> JSON {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        let owner = database.pool()
        try await owner.execute(
            """
            INSERT INTO identity.stream_quarantine
                (consumer, stream, shard, "offset", key, recorded_at, body, error, quarantined_at)
            VALUES ('identity', 'events', 1, 1, \(profile.description), now(), '{}', 'broken', now()),
                   ('identity', 'events', 1, 2, 'somebody else', now(), '{}', 'broken', now())
            """)
        return try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(start), workers: false
        ) { service in
            let own = service.context
            let context = ServiceContext(
                name: own.name, settings: own.settings, logger: own.logger, pool: own.pool, clock: own.clock,
                hub: own.hub, reader: OneRequest(kind: kind), http: own.http, tokens: own.tokens,
                vault: own.vault)
            let handler = PrivacyHandler(access: act, erase: act, failed: failed)
            #expect(try await PrivacyWorker.consumer(handler, context: context).drain() == 1)
            let calls = try await service.outboxBodies()
            #expect(calls.count == 1)
            let left = try await owner.query("SELECT FROM identity.stream_quarantine WHERE stream = 'events'")
            let hasSucceeded = calls[0]["status"] == "completed"
            #expect(left.count == (hasSucceeded ? 1 : 2))
            await owner.close()
            return calls[0]
        }
    }

    /// A stream that holds one request.
    private struct OneRequest: StreamReader {
        let kind: PrivacyRequest.Kind

        func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] { [Shard(profile): 1] }

        func read(
            _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
        ) async throws -> [StreamRecord] {
            guard positions[Shard(profile)] == 0 else { return [] }
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.derived(at: start, from: "request")), type: kind,
                profileID: profile, profileIDs: [profile], requestedAt: start)
            return [
                StreamRecord(
                    shard: Shard(profile), offset: 1, key: profile.description, recordedAt: start,
                    body: request.json)
            ]
        }
    }
}
