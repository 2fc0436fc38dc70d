import ConsentDomain
import ConsentServer
import DeliveryServer
import Foundation
import IdentityServer
import IngestionServer
import JourneysServer
import Models
import Postgres
import RecommendationServer
import SegmentationServer
import ServiceKit
import TestSupport
import Testing

/// Who adds a service adds it here, and to `PrivacyProgress.expected` if it keeps anything about people: this suite fails
/// until both are so, and the service has joined.
@Suite(
    "The contract of privacy requests",
    .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"), .timeLimit(.minutes(5)))
struct PrivacyContractTests {
    static let services = [
        ingestionService, identityService, consentService, segmentationService, recommendationService,
        journeysService, deliveryService,
    ]
    static let start = Instant(milliseconds: 1_795_000_000_000)

    @Test("every service that there is is held to the contract, and its report is waited for")
    func everyService() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Services")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).map { $0.lowercased() }
        #expect(Set(names) == Set(Self.services.map(\.name.rawValue)))
        #expect(Set(PrivacyProgress.expected) == Set(Self.services.map(\.name)))
    }

    @Test(
        "a service says what it holds about somebody, erases it with the counts, and may be asked twice",
        arguments: services.indices)
    func handler(index: Int) async throws {
        let definition = Self.services[index]
        let database = try await TestDatabase.make(services: Self.services)
        let clock = SimulatedClock(Self.start)
        let away = Dictionary(uniqueKeysWithValues: ServiceName.allCases.map { ($0, "http://127.0.0.1:9") })
        let owner = database.pool()
        let profile = ProfileID(UUIDv7.derived(at: Self.start, from: "somebody"))
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            VALUES (\(Shard(profile)), \(profile), \(profile), \(Self.start), \(Self.start))
            """)
        try await ServiceHarness.with(
            definition, database: database, clock: clock, workers: false, others: away
        ) { service in
            let parts = try await definition.build(service.context)
            let handler = try #require(
                parts.privacy,
                "\(definition.name.rawValue) keeps something about people and has no PrivacyHandler")
            func request(_ type: PrivacyRequest.Kind, _ number: Int) -> PrivacyRequest {
                PrivacyRequest(
                    id: PrivacyRequestID(UUIDv7.derived(at: Self.start, from: "\(type) \(number)")),
                    type: type, profileID: profile, profileIDs: [profile], requestedAt: Self.start)
            }
            let pool = service.context.pool
            let found = try await pool.transaction { try await handler.everything(request(.access, 0), $0) }
            #expect(found.object?.isEmpty == false)
            for number in 0..<2 {
                let erasure = request(.erasure, number)
                if definition.name == .ingestion {
                    // It waits for identity to say by which names senders knew the person.
                    let told = try await service.request(
                        "PUT", "/v1/erasures/\(erasure.id)", json: ["subjects": ["somebody"]],
                        as: .service(.identity))
                    #expect(told.status < 300)
                }
                let gone = try await pool.transaction { try await handler.erase(erasure, $0) }
                #expect(!PrivacyReceipt.counts(of: gone).isEmpty, "\(gone)")
            }
        }
        await owner.close()
    }
}
