import FoundationEssentials
import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Changing traits of a profile that somebody has read.
struct TraitRoutes {
    let resolution: Resolution
    let reading: ProfileReading
    let pool: PostgresPool
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.patch("/v1/profiles/{id}/traits", scope: .profilesWrite, touches: .people) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            let source = try request.queryID("source", as: SourceID.self)
            let traits = try await traits(in: request)
            let view = try await pool.transaction { transaction in
                try await change(
                    id, traits, from: source ?? .profileAPI, onlyIf: request.ifMatch,
                    traceparent: request.traceparent, in: transaction)
            }
            return .json(view.json, headers: [.eTag: view.etag])
        }
    }

    private func traits(in request: ServiceRequest) async throws -> [String: JSON] {
        try request.requireMediaType(["application/json", "application/merge-patch+json"])
        let body = try await request.body(maxBytes: ProfileUpsert.itemBytes)
        let json = try JSONParser.parse(body[...], limits: .init(maxDepth: ProfileUpsert.depth + 1))
        let traits = try JSONFields(json).members
        try ProfileUpsert.check(traits: traits, at: "")
        return traits
    }

    private func change(
        _ id: ProfileID, _ traits: [String: JSON], from source: SourceID, onlyIf wanted: [String]?,
        traceparent: String?, in transaction: PostgresTransaction
    ) async throws -> ProfileView {
        let now = try await clock.now()
        var event = TrackingEvent(
            messageID: "api:" + UUIDv7.make(at: now).hyphenated, kind: .identify, timestamp: now,
            receivedAt: now, sourceID: source, traits: traits,
            context: ["library": ["name": "martlet-profile-api"]])
        let policy = try await resolution.policies.current(in: transaction)
        guard Observation(event, policy: policy).allIdentifiers.isEmpty else {
            throw Problem.badRequest(
                "an e-mail address, or whatever else people are known by, is an identifier: add it with "
                    + "POST /v1/profiles, beside one that the profile has",
                type: "identifier-not-trait")
        }
        event.profileID = id
        // With the profile locked nothing comes between reading its version and writing the next.
        var (resolver, keys) = try await resolution.resolver(
            for: [Observation(event, policy: policy)], of: [event], policy: policy, in: transaction)
        guard let view = try await reading.view(of: id, in: transaction) else { throw Problem.noProfile }
        if let wanted, !wanted.contains("*"), !wanted.contains(view.etag.replacing("\"", with: "")) {
            var problem = Problem.preconditionFailed(
                "read the profile again; `If-Match` must name its ETag, which is now the one of this answer")
            problem.headers[.eTag] = view.etag
            throw problem
        }
        let values = view.values
        if traits.allSatisfy({ values[$0.key] ?? .null == $0.value }) { return view }
        // Whoever changes a value has seen it: theirs is the later one, also within a millisecond.
        let seen = traits.keys.compactMap { view.traits[$0]?.entry.stamp.at }.max()
        if let seen, seen >= now, seen < now + ProfileUpsert.leeway {
            event.timestamp = seen + .milliseconds(1)
        }
        guard try resolver.resolve(event) != nil else { throw Problem.noProfile }
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in traceparent }, having: keys, at: now,
            in: transaction)
        guard let changed = try await reading.view(of: id, in: transaction) else { throw Problem.noProfile }
        return changed
    }
}
