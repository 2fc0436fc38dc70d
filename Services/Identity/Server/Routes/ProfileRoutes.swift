import HTTPTypes
import IdentityDomain
import Models
import ServiceKit

/// Reading profiles.
struct ProfileRoutes {
    let reading: ProfileReading
    let policies: PolicyRegistry

    func add(to router: ServiceRouter) {
        router.get("/v1/profiles/{id}", scope: .profilesRead, touches: .people) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            let sections = try sections(of: request)
            guard let profile = try await reading.profile(id, with: sections) else { throw Problem.noProfile }
            return .json(profile.json, headers: [.eTag: profile.etag])
        }
        router.get("/v1/profiles", scope: .profilesRead, touches: .people) { request in
            if let identifier = try await identifier(in: request) {
                let found = try await reading.profile(of: identifier)
                return .page(found.map { [$0.json] } ?? [], nextCursor: nil)
            }
            let limit = try request.query("limit", in: 1...200, default: 50)
            let parts = try Cursor.decode(try request.query("cursor"), count: 1)
            let (items, next) = try await reading.profiles(
                after: try parts.map { parts throws(Problem) in try ProfileID(cursor: parts[0]) },
                limit: limit)
            return .page(items, nextCursor: next.map { Cursor.encode([$0.description]) })
        }
    }

    /// The parts that `include` names, and what each asks of its caller beyond reading profiles.
    private func sections(of request: ServiceRequest) throws(Problem) -> Set<ProfileSection> {
        guard let text = try request.query("include") else { return ProfileSection.usual }
        var sections: Set<ProfileSection> = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let section = ProfileSection(rawValue: String(name)) else {
                let known = ProfileSection.allCases.map(\.rawValue).joined(separator: ", ")
                throw .badRequest("`include` must be some of these, with commas between them: \(known)")
            }
            if let scope = section.scope, !request.caller.may(scope) {
                throw .forbidden(
                    "to include \(section.rawValue) the API key needs the scope `\(scope.rawValue)`")
            }
            sections.insert(section)
        }
        return sections
    }

    /// `identifierType` and `identifierValue`, which go together.
    private func identifier(in request: ServiceRequest) async throws -> Identifier? {
        let type = try request.query("identifierType")
        let value = try request.query("identifierValue")
        if type == nil, value == nil { return nil }
        try request.requireIdentifiers(for: "asking for a profile by an identifier")
        guard let type, let value else {
            throw Problem.badRequest("`identifierType` and `identifierValue` go together")
        }
        let policy = try await policies.latest(in: reading.pool)
        guard let kind = Identifier.Kind(rawValue: type),
            let identifier = try? policy.identifier(kind, value)
        else {
            throw Problem.badRequest(
                "`identifierType` must be a type of the identity policy, such as userId, email or anonymousId, "
                    + "and the value fit it")
        }
        return identifier
    }
}

extension ProfileSection {
    /// What a caller needs to be shown it.
    fileprivate var scope: Scope? {
        switch self {
        case .traits, .identifiers, .timeline: nil
        case .consent: .consentRead
        case .segments, .stage: .segmentsRead
        }
    }
}

extension ProfileID {
    /// Out of the one part of a cursor.
    init(cursor text: String) throws(Problem) {
        guard let id = ProfileID(text) else {
            throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        self = id
    }
}

extension Problem {
    /// Nobody is known by that, or everything known of them was erased.
    static var noProfile: Problem { .notFound("there is no such profile", type: "unknown-profile") }
}
