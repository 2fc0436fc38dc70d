import FoundationEssentials
import IdentityDomain
import Logging
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams
import TestSupport

@testable import IdentityServer

/// Identity over HTTP with profiles of people who do not exist, and instances that do matching jobs step by step.
struct MatchingWorld {
    let service: ServiceHarness
    let database: IdentityDatabase

    static let names = ["firstName", "lastName", "birthday", "city", "postalCode", "phone"]
    /// The fields that made-up people have.
    static let fields: JSON = [
        "givenName": ["firstName"], "surname": ["lastName"], "dateOfBirth": ["birthday"], "city": ["city"],
        "postcode": ["postalCode"], "phone": ["phone"],
    ]

    static func with(
        _ events: [TrackingEvent] = [], settings: [String: String] = [:],
        _ body: (MatchingWorld) async throws -> Void
    ) async throws {
        try await IdentityDatabase.with { database in
            try await resolve(events, in: database)
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start + .hours(1)),
                workers: false, settings: settings
            ) { service in
                try await body(MatchingWorld(service: service, database: database))
            }
        }
    }

    private static func resolve(_ events: [TrackingEvent], in database: IdentityDatabase) async throws {
        try await database.publish(events)
        try await database.consumer(batch: 500).drain()
    }

    func resolve(_ events: [TrackingEvent]) async throws { try await Self.resolve(events, in: database) }

    /// One identify call for each record, of a device that nobody else has.
    static func events(_ people: MadeUpPeople, known: Bool = false) -> [TrackingEvent] {
        people.truth.indices.map { record in
            var traits: [String: JSON] = [:]
            for (name, column) in zip(names, people.columns) {
                traits[name] = column[record].map { .string($0) }
            }
            return event(
                record, .identify, user: known ? "u\(record)" : nil, device: "d\(record)", traits: traits)
        }
    }

    /// An instance whose clock is ahead.
    func instance(ahead: Duration = .zero, mostProfiles: Int = 100_000) -> MatchingRunner {
        let reading = ProfileReading(store: database.store, pool: database.pool)
        return MatchingRunner(
            people: MatchingReading(reading: reading), records: records,
            policies: database.resolution.policies,
            application: MatchingApplication(resolution: database.resolution, records: records),
            settings: MatchingSettings(mostProfiles: mostProfiles),
            clock: SimulatedClock(start + .hours(1)).serviceClock, machine: { start + ahead },
            logger: Logger(label: "test"))
    }

    var records: MatchingRecordStore {
        MatchingRecordStore(key: IdentityDatabase.key, days: database.database.vault(of: .identity).days)
    }

    /// Has a job with records made and done; returns it as it is then.
    @discardableResult
    func bring(
        _ records: [JSON], type: String = "crm:contact", _ policy: JSON? = nil, automatic: Bool = true
    ) async throws -> JSON {
        let started = try await startJob(with: records, type: type, policy, automatic: automatic)
        guard let id = started.json["jobId"]?.string else { return started.json }
        let runner = instance()
        if let job = try await runner.claim() { try await runner.run(job) }
        return try await get("/v1/matching/jobs/\(id)")
    }

    func startJob(
        with records: [JSON], type: String = "crm:contact", _ policy: JSON? = nil, automatic: Bool = true,
        fields: JSON = fields
    ) async throws -> ServiceHarness.Answer {
        var body: [String: JSON] = [
            "fields": fields, "automatic": .bool(automatic), "recordType": .string(type),
            "records": .array(records),
        ]
        body["policy"] = policy
        return try await service.request("POST", "/v1/matching/jobs", json: .object(body))
    }

    /// A record of somebody made up.
    static func record(_ people: MadeUpPeople, _ number: Int, _ more: [String: JSON] = [:]) -> JSON {
        var traits = more
        for (name, column) in zip(names, people.columns) where traits[name] == nil {
            traits[name] = column[number].map { .string($0) }
        }
        return ["id": .string("c\(number)"), "traits": .object(traits)]
    }

    /// What became of the records of a job, row by row.
    func rows(_ job: JSON, _ state: String? = nil) async throws -> [JSON] {
        let chosen = state.map { "&state=\($0)" } ?? ""
        return try await get("/v1/matching/jobs/\(job["jobId"]?.string ?? "")/records?limit=1000\(chosen)")[
            "items"]?
            .array ?? []
    }

    /// The profile that an identifier leads to.
    func found(_ type: String, _ value: String) async throws -> JSON {
        try await service.request(
            "POST", "/v1/profiles/lookup", json: ["type": .string(type), "value": .string(value)]
        ).json
    }

    /// Has a job made and done; returns it as it is then.
    @discardableResult
    func match(_ policy: JSON? = nil, automatic: Bool = true) async throws -> JSON {
        let id = try await startJob(policy, automatic: automatic)
        let runner = instance()
        if let job = try await runner.claim() { try await runner.run(job) }
        return try await get("/v1/matching/jobs/\(id)")
    }

    func startJob(_ policy: JSON? = nil, automatic: Bool = true) async throws -> String {
        var body: [String: JSON] = ["fields": Self.fields, "automatic": .bool(automatic)]
        body["policy"] = policy
        let answer = try await service.request("POST", "/v1/matching/jobs", json: .object(body))
        return answer.json["jobId"]?.string ?? answer.text
    }

    func get(_ path: String) async throws -> JSON { try await service.request("GET", path).json }

    func proposals(_ state: String) async throws -> [JSON] {
        try await get("/v1/matching/proposals?state=\(state)&limit=200")["items"]?.array ?? []
    }

    func decide(_ proposal: JSON, _ decision: String, key: String? = nil) async throws
        -> ServiceHarness.Answer
    {
        try await service.request(
            "POST", "/v1/matching/proposals/\(proposal["proposalId"]?.string ?? "")/decision",
            json: ["decision": .string(decision), "note": "looked at it"],
            headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    /// The canonical profile of a record's device.
    func profile(_ record: Int) async throws -> String {
        let answer = try await service.request(
            "POST", "/v1/profiles/lookup", json: ["type": "anonymousId", "value": .string("d\(record)")])
        return answer.json["profileId"]?.string ?? ""
    }

    func lookUp(_ traits: JSON) async throws -> ServiceHarness.Answer {
        try await service.request("POST", "/v1/matching/lookup", json: ["traits": traits])
    }

    /// Who is who, by the canonical profile of each record.
    func owners(_ records: Int) async throws -> [ProfileID] {
        let identifiers = (0..<records).compactMap { Identifier(.anonymousID, "d\($0)") }
        let people = try await database.store.canonicalIDs(
            of: Set(identifiers), in: database.pool)
        return identifiers.compactMap { people[$0] }
    }

    func erase(_ id: String) async throws {
        guard let id = ProfileID(id) else { return }
        let privacy = database.privacy()
        _ = try await database.pool.transaction { transaction in
            try await privacy.erase(
                PrivacyRequest(
                    id: PrivacyRequestID(UUIDv7.derived(at: start, from: "erase", id.description)),
                    type: .erasure,
                    profileID: id, profileIDs: [id], requestedAt: start), in: transaction)
        }
    }
}
