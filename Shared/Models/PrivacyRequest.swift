/// A person asks for what is known of them, or for its erasure: the body of the stream `privacy-requests`.
package struct PrivacyRequest: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable, Codable {
        case access, erasure
    }

    package var id: PrivacyRequestID
    package var type: Kind
    /// The canonical profile when the request was made.
    package var profileID: ProfileID
    /// All profiles merged into it, and itself.
    package var profileIDs: [ProfileID]
    package var requestedAt: Instant
    /// Who is asked, when it is asked once more because some have failed; nil for everybody.
    package var services: [ServiceName]?

    package init(
        id: PrivacyRequestID, type: Kind, profileID: ProfileID, profileIDs: [ProfileID], requestedAt: Instant,
        services: [ServiceName]? = nil
    ) {
        self.services = services
        self.id = id
        self.type = type
        self.profileID = profileID
        self.profileIDs = profileIDs
        self.requestedAt = requestedAt
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        id = try fields.id("id")
        type = try fields.choice("type")
        profileID = try fields.id("profileId")
        var ids: [ProfileID] = []
        for element in try fields.array("profileIds") {
            guard let id = element.string.flatMap({ ProfileID($0) }) else {
                throw fields.problem("profileIds", expected: "an array of UUIDs")
            }
            ids.append(id)
        }
        profileIDs = ids
        requestedAt = try fields.instant("requestedAt")
        services =
            fields["services"] == nil
            ? nil : try fields.array("services").compactMap { $0.string.flatMap(ServiceName.init(rawValue:)) }
    }

    /// Whether a service is asked.
    package func asks(_ service: ServiceName) -> Bool { services?.contains(service) ?? true }

    package var json: JSON {
        var members: [String: JSON] = [
            "id": .string(id.description), "type": .string(type.rawValue),
            "profileId": .string(profileID.description),
            "profileIds": .array(profileIDs.map { .string($0.description) }),
            "requestedAt": .string(requestedAt.rfc3339),
        ]
        if let services { members["services"] = .array(services.map { .string($0.rawValue) }) }
        return .object(members)
    }
}
