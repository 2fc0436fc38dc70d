import Clients
import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Whom a request is about: a profile, or an identifier that identity knows or makes one for.
enum Subject: Sendable {
    case profile(ProfileID)
    case identifier(Identifier)

    /// Reads `{"profileId": …}` or `{"identifier": {"type", "value"}}`.
    init(_ fields: JSONFields) throws(DecodingProblem) {
        let subject = try fields.fields("subject")
        try subject.allow(["profileId", "identifier"])
        switch (subject["profileId"], subject["identifier"]) {
        case (.some, nil): self = .profile(try subject.id("profileId"))
        case (nil, .some(let identifier)):
            try JSONFields(identifier, at: subject.path(of: "identifier")).allow(["type", "value"])
            self = .identifier(try Identifier(json: identifier, at: subject.path(of: "identifier")))
        default:
            throw fields.problem("subject", expected: "an object with either profileId or identifier")
        }
    }
}

/// Turns subjects into profiles.
struct SubjectResolver: Sendable {
    let identity: IdentityClient
    let profiles: ProfileStore
    let pool: PostgresPool

    /// The profile; identity makes one for an identifier that is new.
    func resolve(_ subject: Subject) async throws -> ProfileID {
        if let known = try await find(subject) { return known }
        guard case .identifier(let identifier) = subject else { throw Self.unknown }
        do {
            return try await identity.resolve([.init(type: identifier.kind.rawValue, value: identifier.value)]
            ).profileID
        } catch is RetryLater {
            throw Problem.unavailable("identity is away, so the new identifier cannot be resolved; try again")
        } catch let error as ClientError where error.status < 500 {
            throw Problem.notFound("identity does not take this identifier", type: "unknown-subject")
        } catch let error as ClientError {
            throw Problem.unavailable("identity answered \(error.status) to the new identifier; try again")
        }
    }

    /// The profile of a person who is known already.
    func lookUp(_ subject: Subject) async throws -> ProfileID {
        guard let known = try await find(subject) else { throw Self.unknown }
        return known
    }

    private func find(_ subject: Subject) async throws -> ProfileID? {
        switch subject {
        case .profile(let id): try await profiles.canonicalID(of: id, in: pool) == nil ? nil : id
        case .identifier(let identifier): try await profiles.canonicalID(of: identifier, in: pool)
        }
    }

    /// Of somebody who was erased nothing is left to do anything about, now or later.
    static let erased = Problem(
        status: .gone, type: "erased-subject", title: "The person was erased",
        detail: "everything known of this profile was erased; there is nothing left to ask for")

    static let unknown = Problem.notFound("no profile is known for this subject", type: "unknown-subject")
}
