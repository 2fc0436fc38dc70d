import ConsentDomain
package import Models

/// The facts as they are kept beside the message, and read back: the same decision follows from them again.
extension SendFacts {
    package var json: JSON {
        [
            "messageId": .string(messageID.description), "wantedAt": .string(wantedAt.rfc3339),
            "channel": .string(channel), "purpose": .string(purpose),
            "journey": .string(journey), "jurisdiction": jurisdiction.map { .string($0.code) } ?? .null,
            "policy": policy.json, "policyVersion": .integer(policyVersion), "isErased": .bool(isErased),
            "isRestricted": .bool(isRestricted),
            "unmerges": .array(unmerges.map(\.json)), "contacts": .array(contacts.map(\.json)),
            "consents": .array(consents.map(\.json)),
            "templateVersion": templateVersion.map { .integer(Int64($0)) } ?? .null,
            "renderingError": renderingError.map(JSON.string) ?? .null,
            "attempts": .array(
                attempts.map { ["at": .string($0.at.rfc3339), "detail": .string($0.detail)] }),
            "lastSentAt": lastSentAt.map { .string($0.rfc3339) } ?? .null,
            "now": .string(now.rfc3339),
        ]
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        let contacts = try fields.array("contacts")
        let consents = try fields.array("consents")
        let attempts = try fields.array("attempts")
        self.init(
            messageID: try fields.id("messageId"), wantedAt: try fields.instant("wantedAt"),
            channel: try fields.string("channel"), purpose: try fields.string("purpose"),
            journey: json["journey"]?.string ?? "",
            jurisdiction: json["jurisdiction"]?.string.flatMap(Jurisdiction.init(_:)),
            policy: try Self.policy(json), policyVersion: json["policyVersion"]?.integer ?? 0,
            isErased: json["isErased"]?.bool ?? false, isRestricted: json["isRestricted"]?.bool ?? false,
            contacts: [], consents: [], templateVersion: json["templateVersion"]?.integer.map { Int($0) },
            renderingError: json["renderingError"]?.string, attempts: [], now: try fields.instant("now"))
        lastSentAt = try fields.optionalInstant("lastSentAt")
        // Facts from before they were kept have none.
        for unmerge in json["unmerges"]?.array ?? [] { unmerges.append(try UnmergeFact(json: unmerge)) }
        for contact in contacts { self.contacts.append(try Contact(json: contact)) }
        for consent in consents { self.consents.append(try ConsentFact(json: consent, purpose: purpose)) }
        for attempt in attempts {
            let fields = try JSONFields(attempt)
            self.attempts.append(
                EarlierAttempt(at: try fields.instant("at"), detail: try fields.string("detail")))
        }
    }
}

extension SendFacts {
    /// Facts from before there were policies have the legal basis of their purpose, and nothing else that mattered.
    private static func policy(_ json: JSON) throws(DecodingProblem) -> ConsentPolicy {
        if let policy = json["policy"] { return try ConsentPolicy(json: policy) }
        guard let id = json["purpose"]?.string,
            let basis = json["legalBasis"]?.string.flatMap(LegalBasis.init)
        else { return ConsentPolicy() }
        return ConsentPolicy(purposes: [Purpose(id: id, name: id, legalBasis: basis, textVersion: "0")])
    }
}

extension UnmergeFact {
    package var json: JSON {
        [
            "mergeId": .string(mergeID.description), "profileId": .string(profileID.description),
            "at": .string(at.rfc3339), "isFollowed": .bool(isFollowed),
        ]
    }

    init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            mergeID: try fields.id("mergeId"), profileID: try fields.id("profileId"),
            at: try fields.instant("at"), isFollowed: try fields.bool("isFollowed"))
    }
}

extension ConsentFact {
    package var json: JSON {
        [
            "profileId": .string(profileID.description), "purpose": .string(purpose),
            "state": .string(state.rawValue), "at": .string(at.rfc3339),
            "ledgerEntry": ledgerEntry.map(JSON.string) ?? .null,
        ]
    }

    /// `purpose` is that of facts from before each had its own.
    init(json: JSON, purpose: String) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            profileID: try fields.id("profileId"), purpose: json["purpose"]?.string ?? purpose,
            state: json["state"]?.string == "granted" ? .granted : .withdrawn,
            at: try fields.instant("at"), ledgerEntry: json["ledgerEntry"]?.string)
    }
}

extension Contact {
    package var json: JSON {
        [
            "key": .string(key), "isValid": .bool(isValid), "lastSeen": .string(lastSeen.rfc3339),
            "suppressions": .array(suppressions.map(\.json)),
        ]
    }

    init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            key: try fields.string("key"), isValid: json["isValid"]?.bool ?? false,
            lastSeen: try fields.instant("lastSeen"), suppressions: [])
        for suppression in try fields.array("suppressions") {
            suppressions.append(try Suppression(json: suppression))
        }
    }
}

extension Suppression {
    package var json: JSON {
        [
            "purpose": purpose.map(JSON.string) ?? .null, "reason": .string(reason.rawValue),
            "at": .string(at.rfc3339),
        ]
    }

    init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        self.init(
            purpose: json["purpose"]?.string, reason: json["reason"]?.string.flatMap(Reason.init) ?? .manual,
            at: try fields.instant("at"))
    }
}
