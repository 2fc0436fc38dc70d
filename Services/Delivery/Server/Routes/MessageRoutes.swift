import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit

/// `/v1/messages`: what was sent, what wasn't, and why.
struct MessageRoutes: Sendable {
    let pool: PostgresPool
    let profiles: ProfileStore
    private let store: MessageStore

    init(pool: PostgresPool, profiles: ProfileStore) {
        (self.pool, self.profiles) = (pool, profiles)
        store = MessageStore(sealing: MessageSealing(days: profiles.vault.days))
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/messages", scope: .deliveryRead, touches: .people) { try await list($0) }
        router.get("/v1/messages/{id}", scope: .deliveryRead, touches: .people) { request in
            guard let detail = try await store.detail(try request.pathID("id"), in: pool) else {
                throw Problem.notFound("no such message", type: "unknown-message")
            }
            return .json(detail)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        var state: MessageState?
        if let text = try request.query("status") {
            guard let known = MessageState(rawValue: text) else {
                throw Problem.badRequest(
                    "`status` must be one of \(MessageState.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            state = known
        }
        var before: MessageID?
        if let parts = try Cursor.decode(request.query("cursor"), count: 1) {
            guard let id = MessageID(parts[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            before = id
        }
        var members: [ProfileID]?
        if let profile: ProfileID = try request.queryID("profileId") {
            members = try await profiles.person(profile, in: pool)?.memberIDs ?? [profile]
        }
        let found = try await store.page(
            profiles: members, state: state, before: before, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil)
    }
}
