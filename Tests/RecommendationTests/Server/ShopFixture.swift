import RecommendationServer
import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport

/// A running recommendation service with identity's real tables beside it, filled by the test in identity's place.
struct ShopFixture: Sendable {
    let service: ServiceHarness
    let clock: SimulatedClock
    let owner: PostgresPool

    static let start = Instant(milliseconds: 1_700_000_000_000)

    static func with<T>(_ body: (ShopFixture) async throws -> T) async throws -> T {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: try migrations(of: "Identity")),
            Migrator(service: .consent, migrations: try migrations(of: "Consent")),
            Migrator(service: .recommendation, migrations: recommendationService.migrations),
        ])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        return try await ServiceHarness.with(
            recommendationService, database: database, clock: clock, workers: false,
            others: [.identity: "http://127.0.0.1:9"]
        ) { service in
            let value = try await body(ShopFixture(service: service, clock: clock, owner: owner))
            await owner.close()
            return value
        }
    }

    /// The migration files of a service that this test target does not link.
    private static func migrations(of service: String) throws -> [Migration] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Services/\(service)/Server/Migrations")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "sql" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map {
                Migration(
                    resource: $0.deletingPathExtension().lastPathComponent,
                    bytes: Array(try Data(contentsOf: $0)))
            }
    }

    func makeProfile() async throws -> ProfileID {
        let id = ProfileID(UUIDv7.make(at: clock.now))
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            VALUES (\(Shard(id)), \(id), \(id), \(clock.now), \(clock.now))
            """)
        return id
    }

    /// Merges as identity does: the forest and the facts in one transaction.
    func merge(_ loser: ProfileID, into survivor: ProfileID) async throws {
        let id = MergeID(UUIDv7.make(at: clock.now))
        try await owner.transaction { transaction in
            try await transaction.execute(
                "UPDATE profiles.profile SET canonical_id = \(survivor) WHERE canonical_id = \(loser)")
            try await append(
                [
                    .merge(profileID: survivor, merged: loser, mergeID: id, at: clock.now, cause: [:]),
                    .mergedInto(profileID: loser, survivor: survivor, mergeID: id, at: clock.now),
                ], in: transaction)
        }
    }

    func append(_ facts: [ProfileFact], erasing isErased: Bool = true) async throws {
        try await owner.transaction { try await append(facts, erasing: isErased, in: $0) }
    }

    /// Who a fact says is erased is so, unless identity knows better.
    func append(
        _ facts: [ProfileFact], erasing isErased: Bool = true, in transaction: PostgresTransaction
    ) async throws {
        var next = try await StreamWriter(.profileEvents).reserve(
            Dictionary(grouping: facts, by: { Shard($0.profileID) }).mapValues(\.count), in: transaction)
        for fact in facts {
            if isErased, case .erased(let profile, let at) = fact {
                try await transaction.execute(
                    """
                    UPDATE profiles.profile SET erased_at = \(at) WHERE canonical_id =
                        (SELECT canonical_id FROM profiles.profile WHERE profile_id = \(profile))
                    """)
            }
            let shard = Shard(fact.profileID)
            let offset = next[shard] ?? 1
            next[shard] = offset + 1
            try await transaction.execute(
                """
                INSERT INTO profiles.timeline (shard, "offset", key, recorded_at, body, profile_id, occurred_at, type)
                VALUES (\(shard), \(offset), \(fact.profileID.description), \(clock.now), \(fact.json.compact),
                    \(fact.profileID), \(fact.at), \(fact.kind.rawValue))
                """)
        }
    }

    func track(
        _ name: String, _ properties: [String: JSON], of profile: ProfileID, arrivedUnder: ProfileID? = nil,
        at: Instant? = nil
    ) -> ProfileFact {
        .event(
            profileID: profile, arrivedUnder: arrivedUnder ?? profile,
            event: TrackingEvent(
                messageID: UUIDv7.make(at: clock.now).uuidString, kind: .track, name: name,
                timestamp: at ?? clock.now, receivedAt: clock.now,
                sourceID: SourceID(UUIDv7.make(at: clock.now)), properties: properties))
    }

    func order(_ key: String, _ skus: [String], of profile: ProfileID, at: Instant? = nil) -> ProfileFact {
        track(
            "Order Completed",
            [
                "order_id": .string(key),
                "products": .array(skus.map { ["sku": .string($0), "quantity": 1] }),
            ],
            of: profile, at: at)
    }

    /// Lets the service read on until there is nothing more.
    func drain() async throws {
        for case let consumer as StreamConsumer in service.running.services
        where consumer.stream == .profileEvents { try await consumer.drain() }
    }

    func stock(_ skus: [String], inStock: Bool = true) async throws {
        let answer = try await service.request(
            "PUT", "/v1/catalog/items",
            json: [
                "items": .array(
                    skus.map {
                        [
                            "sku": .string($0), "name": .string("Name of \($0)"), "price": "2.50",
                            "currency": "GBP", "inStock": .bool(inStock),
                        ]
                    })
            ])
        guard answer.json["accepted"]?.integer == Int64(skus.count) else {
            throw ShopFixtureError.notAccepted
        }
    }

    func recommend(_ query: String) async throws -> [JSON] {
        let answer = try await service.request("GET", "/v1/recommendations?\(query)")
        return answer.json["items"]?.array ?? []
    }

    func skus(_ query: String) async throws -> [String] {
        try await recommend(query).compactMap { $0["sku"]?.string }
    }
}

enum ShopFixtureError: Error {
    case notAccepted
}
