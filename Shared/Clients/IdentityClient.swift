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
    /// Sets traits of a profile; null removes one. May be repeated.
    package func setTraits(_ traits: [String: JSON], of profile: ProfileID) async throws {
        let answer = try await http.json(
            to: .identity, method: "PATCH", path: "/v1/profiles/\(profile)/traits", body: .object(traits))
        guard answer.status == 200 else {
            throw ClientError(service: .identity, status: answer.status, problem: answer.json)
        }
    }

    /// Adds identifiers and traits to whoever is known by one of the identifiers. Under the same `key` it is done once.
    /// Returns what was withheld of the identifiers.
    package func add(
        _ identifiers: [Identifier], traits: [String: JSON], key: String
    ) async throws -> [JSON] {
        let answer = try await http.json(
            to: .identity, method: "POST", path: "/v1/profiles",
            body: [
                "identifiers": .array(
                    identifiers.map { ["type": .string($0.type), "value": .string($0.value)] }),
                "traits": .object(traits),
            ], headers: ["Idempotency-Key": key])
        guard answer.status == 200 || answer.status == 201 else {
            throw ClientError(service: .identity, status: answer.status, problem: answer.json)
        }
        return answer.json?["withheld"]?.array ?? []
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
