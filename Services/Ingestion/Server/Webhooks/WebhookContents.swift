import IngestionDomain
import Models

/// What a request of a webhook comes to, item by item, before it is written.
struct WebhookContents: Sendable {
    enum Line: Sendable {
        /// For the log or for quarantine.
        case item(EventWriter.Item)
        case ignored(messageID: String, reason: String)
        /// Passed on to consent.
        case requested(AcceptedWebhook.PrivacyCall)
    }

    var lines: [Line] = []

    var items: [EventWriter.Item] {
        lines.compactMap { if case .item(let item) = $0 { item } else { nil } }
    }

    var privacyCalls: [AcceptedWebhook.PrivacyCall] {
        lines.compactMap { if case .requested(let call) = $0 { call } else { nil } }
    }

    /// The answer, given the verdicts of the items in their order.
    func json(_ verdicts: [Verdict]) -> JSON {
        var left = verdicts[...]
        var counts: [String: Int64] = [
            "accepted": 0, "duplicate": 0, "quarantined": 0, "refused": 0, "ignored": 0, "requested": 0,
        ]
        let items = lines.map { line -> JSON in
            var (messageID, status, reason): (String?, String, String?)
            switch line {
            case .item(let item):
                let verdict = left.popFirst() ?? .accepted
                (messageID, status) = (item.messageID, verdict.name)
                reason = verdict.refusal.map { "\($0.reason.rawValue): \($0.detail)" }
            case .ignored(let id, let why): (messageID, status, reason) = (id, "ignored", why)
            case .requested(let call): (messageID, status, reason) = (call.messageID, "requested", nil)
            }
            counts[status, default: 0] += 1
            var members: [String: JSON] = [
                "messageId": messageID.map { .string($0) } ?? .null, "status": .string(status),
            ]
            members["reason"] = reason.map { .string($0) }
            return .object(members)
        }
        var members = counts.mapValues(JSON.integer)
        members["received"] = .integer(Int64(verdicts.count))
        members["items"] = .array(items)
        return .object(members)
    }
}

extension InboundRecord {
    /// The record as it is kept in quarantine: all that a mapping sees of it, and the rule that failed.
    func json(rule: String?) -> JSON {
        var members: [String: JSON] = [
            "provider": .string(provider.rawValue), "type": .string(type), "id": .string(id),
            "object": object,
            "meta": .object(meta),
        ]
        members["occurredAt"] = occurredAt.map { .string($0.rfc3339) }
        members["rule"] = rule.map { .string($0) }
        return .object(members)
    }
}

extension MappedPrivacyRequest {
    /// What the sender knows the person by. Whomever one of these leads to is meant: under an older mapping the person
    /// may have come by another of them.
    var own: [Identifier] {
        [Identifier(.userID, userID)].compactMap { $0 }
            + externalIDs.compactMap { id in
                Identifier.Kind(rawValue: id.type).flatMap { Identifier($0, id.id.trimmed()) }
            }
    }

    /// What else somebody may be known by, the surest first; somebody else may be known by it as well, so it is asked
    /// for only where nobody is known by the sender's own.
    var others: [Identifier] {
        [Identifier(.email, email), Identifier(.anonymousID, anonymousID)].compactMap { $0 }
    }

    /// The names in what is kept.
    var keptNames: [String] {
        [userID, anonymousID].compactMap { $0 } + externalIDs.map { "\($0.type):\($0.id)" }
    }

    /// What is kept in quarantine of a wish that nobody here can be found for. Addresses are left out: whoever wants to
    /// be forgotten is not to be remembered by them.
    var keptJSON: JSON {
        var members: [String: JSON] = [
            "privacyRequest": .string(kind.rawValue), "requestedAt": .string(requestedAt.rfc3339),
            "externalIds": .array(externalIDs.map { ["type": .string($0.type), "id": .string($0.id)] }),
        ]
        members["userId"] = userID.map { .string($0) }
        members["anonymousId"] = anonymousID.map { .string($0) }
        return .object(members)
    }
}
