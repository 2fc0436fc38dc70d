import IdentityDomain
import Models

/// The body of an event as the receiver gets it.
struct WebhookPayload {
    let delivery: ClaimedDelivery
    /// The values that hold, of an endpoint that wants them; nil also where there is nobody any more.
    let traits: [String: JSON]?

    var json: JSON {
        var data = isErased ? [:] : delivery.details.object ?? [:]
        if let id = delivery.profileID { data["profileId"] = .string(id.description) }
        if let id = delivery.otherID { data[otherName] = .string(id.description) }
        if isErased { data["erased"] = true }
        if delivery.type == .test { data["message"] = "This is a test." }
        if delivery.includesTraits, !isErased, let traits { data["traits"] = .object(wanted(traits)) }
        return [
            "type": .string(delivery.type.rawValue), "timestamp": .string(delivery.occurredAt.rfc3339),
            "data": .object(data),
        ]
    }

    /// Also when it happened since the delivery was claimed.
    private var isErased: Bool {
        delivery.isErased || delivery.includesTraits && delivery.profileID != nil && traits == nil
    }

    private var otherName: String { delivery.type == .unmerged ? "unmergedProfileId" : "mergedProfileId" }

    /// Of an update the traits that have changed, null for one that is no more; else all of them.
    private func wanted(_ traits: [String: JSON]) -> [String: JSON] {
        guard delivery.type == .updated else { return traits }
        let names = delivery.details["changedTraits"]?.array?.compactMap(\.string) ?? []
        return Dictionary(names.map { ($0, traits[$0] ?? .null) }, uniquingKeysWith: { first, _ in first })
    }
}
