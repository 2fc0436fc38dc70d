import Models
import ServiceKit

/// Looking up profiles.
struct ProfileRoutes {
    let reading: ProfileReading

    func add(to router: ServiceRouter) {
        router.get("/v1/profiles/{id}", scope: .profilesRead) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            guard let profile = try await reading.profile(id) else { throw Problem.noProfile }
            return .json(profile)
        }
        router.get("/v1/profiles", scope: .profilesRead) { request in
            if let identifier = try identifier(in: request) {
                let found = try await reading.profile(of: identifier)
                return .page(found.map { [$0] } ?? [], nextCursor: nil)
            }
            let limit = try request.query("limit", in: 1...200, default: 50)
            let parts = try Cursor.decode(try request.query("cursor"), count: 1)
            let (items, next) = try await reading.profiles(after: try parts.map(position), limit: limit)
            return .page(items, nextCursor: next.map { Cursor.encode([$0.description]) })
        }
        router.post("/v1/profiles/lookup", scope: .profilesRead) { request in
            let identifier = try Identifier(json: try await request.json(maxBytes: 64 << 10))
            guard let profile = try await reading.profile(of: identifier) else { throw Problem.noProfile }
            return .json(profile)
        }
    }

    /// `identifierType` and `identifierValue`, which go together.
    private func identifier(in request: ServiceRequest) throws(Problem) -> Identifier? {
        let type = try request.query("identifierType")
        let value = try request.query("identifierValue")
        if type == nil, value == nil { return nil }
        guard let type, let value else {
            throw .badRequest("`identifierType` and `identifierValue` go together")
        }
        guard let kind = Identifier.Kind(rawValue: type), let identifier = Identifier(kind, value) else {
            throw .badRequest("`identifierType` must be userId, email or anonymousId, and the value fit it")
        }
        return identifier
    }

    private func position(_ parts: [String]) throws(Problem) -> ProfileID {
        guard let id = ProfileID(parts[0]) else {
            throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        return id
    }
}

extension Problem {
    /// Nobody is known by that, or everything known of them was erased.
    static var noProfile: Problem { .notFound("there is no such profile", type: "unknown-profile") }
}
