import Models
import Postgres
import ServiceKit
import Streams
import TestSupport

@testable import IdentityServer

/// Identity over HTTP with some history, as CRM and support systems meet it.
struct ProfileAPI {
    let service: ServiceHarness
    let database: IdentityDatabase
    let clock: SimulatedClock

    static func with(
        _ events: [TrackingEvent] = [], _ body: (ProfileAPI) async throws -> Void
    ) async throws {
        try await IdentityDatabase.with { database in
            // One by one, because a batch is met shard by shard.
            for event in events {
                try await database.publish([event])
                try await database.consumer().drain()
            }
            let clock = SimulatedClock(start + .hours(1))
            try await ServiceHarness.with(
                identityService, database: database.database, clock: clock, workers: false
            ) { service in
                try await body(ProfileAPI(service: service, database: database, clock: clock))
            }
        }
    }

    func post(
        _ path: String, _ json: JSON, headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await service.request("POST", path, json: json, headers: headers)
    }

    func get(_ path: String) async throws -> ServiceHarness.Answer {
        try await service.request("GET", path)
    }

    /// The profile that an identifier leads to, `.null` when there is none.
    func lookUp(_ type: String, _ value: String) async throws -> JSON {
        let answer = try await post("/v1/profiles/lookup", ["type": .string(type), "value": .string(value)])
        return answer.status == 200 ? answer.json : .null
    }

    /// The messages of a timeline, the latest first.
    func messages(_ page: JSON) -> [String] {
        page["items"]?.array?.compactMap { $0[path: "event.messageId"]?.string } ?? []
    }

    /// The key of an API key with the given scopes.
    func key(_ scopes: Set<Scope>) async throws -> ServiceHarness.Credential {
        let made = try await APIKeyStore(pool: database.owner).create(
            name: "test", scopes: scopes, now: .fromSystemClock())
        return .bearer(made.text)
    }
}
