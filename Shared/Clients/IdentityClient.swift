package import Models
package import ServiceKit

/// Calls identity.
package struct IdentityClient: Sendable {
    private let http: ServiceHTTPClient

    package init(http: ServiceHTTPClient) { self.http = http }

    /// One identifier as it is sent: its type (`userId`, `email`, …) and value.
    package struct Identifier: Sendable, Hashable {
        package let type: String
        package let value: String

        package init(type: String, value: String) {
            self.type = type
            self.value = value
        }
    }

    /// The profile that holds the identifiers, created if there is none.
    ///
    /// Throws ``RetryLater`` when identity is away, ``ClientError`` when it refuses.
    package func resolve(_ identifiers: [Identifier]) async throws -> (profileID: ProfileID, created: Bool) {
        let answer = try await http.json(
            to: .identity, method: "POST", path: "/v1/profiles/resolve",
            body: [
                "identifiers": .array(
                    identifiers.map { ["type": .string($0.type), "value": .string($0.value)] })
            ])
        guard answer.status == 200 || answer.status == 201,
            let id = answer.json?["profileId"]?.string.flatMap({ ProfileID($0) })
        else { throw ClientError(service: .identity, status: answer.status, problem: answer.json) }
        return (id, answer.json?["created"]?.bool ?? false)
    }
}

extension IdentityClient {
    /// Puts right what is wrong of a profile: `traits`, of which null removes one, and `identifiers`, each with what it
    /// replaces. Everything of it is done or nothing; may be repeated.
    package func correct(_ profile: ProfileID, identifiers: [JSON], traits: [String: JSON]) async throws {
        let answer = try await http.json(
            to: .identity, method: "POST", path: "/v1/profiles/\(profile)/corrections",
            body: ["identifiers": .array(identifiers), "traits": .object(traits)])
        guard answer.status == 200 else {
            throw ClientError(service: .identity, status: answer.status, problem: answer.json)
        }
    }
}

/// A service refused a call: its status, and the problem that it answered with.
package struct ClientError: Error, Sendable, CustomStringConvertible {
    package let service: ServiceName
    package let status: Int
    /// `type` of the problem, e.g. `https://martlet.dev/problems/not-found`.
    package let type: String?

    package init(service: ServiceName, status: Int, problem: JSON?) {
        self.service = service
        self.status = status
        type = problem?["type"]?.string
    }

    package var description: String {
        "\(service.rawValue) answered \(status) (\(type ?? "no problem type"))"
    }
}
