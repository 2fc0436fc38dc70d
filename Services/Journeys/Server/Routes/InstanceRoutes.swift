import JourneysDomain
import Models
package import Postgres
package import Sealing
package import ServiceKit

/// Who is where in a journey, and why: `/v1/journeys/{id}/instances`, `…/history` and `/v1/instances/{id}`.
package struct InstanceRoutes: Sendable {
    private let queries: InstanceQueries

    package init(pool: PostgresPool, vault: Vault) { queries = InstanceQueries(pool, vault: vault) }

    package func add(to router: ServiceRouter) {
        router.get("/v1/journeys/{id}/instances", scope: .journeysRead, touches: .people, instances)
        router.get("/v1/journeys/{id}/history", scope: .journeysRead, touches: .people, history)
        router.get("/v1/instances/{id}", scope: .journeysRead, touches: .people, instance)
    }

    @Sendable
    private func instances(_ request: ServiceRequest) async throws -> ServiceResponse {
        let journey = try await journey(request)
        let profileID: ProfileID? = try request.queryID("profileId")
        let running = try status(request)
        let limit = try request.query("limit", in: 1...200, default: 50)
        let before = try position(request)
        let found = try await queries.instances(
            of: journey, profileID: profileID, running: running, before: before, limit: limit + 1)
        let last = found.count > limit ? found[limit - 1] : nil
        return .page(
            found.prefix(limit).map(Self.json),
            nextCursor: last.map { Cursor.encode([$0.enteredAt.rfc3339, $0.id.description]) })
    }

    @Sendable
    private func history(_ request: ServiceRequest) async throws -> ServiceResponse {
        let journey = try await journey(request)
        let profileID: ProfileID? = try request.queryID("profileId")
        let kind = try request.query("kind").map { text throws(Problem) in
            guard let kind = HistoryKind(rawValue: text) else {
                let kinds = HistoryKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw .badRequest("`kind` must be one of \(kinds)")
            }
            return kind
        }
        let limit = try request.query("limit", in: 1...200, default: 50)
        let before = try position(request)
        let found = try await queries.history(
            of: journey, profileID: profileID, kind: kind, before: before, limit: limit + 1)
        let last = found.count > limit ? found[limit - 1] : nil
        return .page(
            Array(found.prefix(limit)),
            nextCursor: last.map { Cursor.encode([$0["at"]?.string ?? "", $0["historyId"]?.string ?? ""]) })
    }

    @Sendable
    private func instance(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: InstanceID = try request.pathID("id")
        guard let instance = try await queries.instance(id) else {
            throw Problem.notFound("there is no instance with this id")
        }
        var members = Self.json(instance).object ?? [:]
        members["trigger"] = instance.trigger
        members["variants"] = .object(instance.variants.mapValues { .string($0) })
        members["visits"] = .object(instance.visits.mapValues { .integer(Int64($0)) })
        members["history"] = .array(try await queries.history(of: instance))
        members["historyCount"] = .integer(Int64(instance.entries))
        return .json(.object(members))
    }

    // MARK: Parameters

    private func journey(_ request: ServiceRequest) async throws -> String {
        let id = try request.path("id")
        guard try await queries.journeyExists(id) else {
            throw Problem.notFound("there is no journey with this id")
        }
        return id
    }

    private func status(_ request: ServiceRequest) throws(Problem) -> Bool? {
        switch try request.query("status") {
        case nil: nil
        case "running": true
        case "ended": false
        default: throw .badRequest("`status` must be running or ended")
        }
    }

    private func position(_ request: ServiceRequest) throws(Problem) -> InstanceQueries.Position? {
        guard let parts = try Cursor.decode(try request.query("cursor"), count: 2) else { return nil }
        guard let at = Instant(rfc3339: parts[0]), let id = InstanceID(parts[1]) else {
            throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        return InstanceQueries.Position(at: at, id: id.description)
    }

    private static func json(_ instance: InstanceState) -> JSON {
        func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
        return [
            "id": .string(instance.id.description), "journey": .string(instance.journey),
            "version": .integer(Int64(instance.version)),
            "profileId": .string(instance.profileID.description),
            "status": .string(instance.isRunning ? "running" : "ended"),
            "enteredAt": .string(instance.enteredAt.rfc3339), "step": text(instance.step),
            "waitingSince": text(instance.waitingSince?.rfc3339), "dueAt": text(instance.dueAt?.rfc3339),
            "endedAt": text(instance.endedAt?.rfc3339), "endReason": text(instance.endReason),
        ]
    }
}
