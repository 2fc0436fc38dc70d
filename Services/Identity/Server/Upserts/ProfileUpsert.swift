import FoundationEssentials
import IdentityDomain
import Models

/// What a caller says of somebody: what they are known by, and what is true of them.
struct ProfileUpsert: Hashable, Sendable {
    let identifiers: [Identifier]
    /// A null removes a trait.
    let traits: [String: JSON]
    /// When it became true, for a trait that somebody else has written since; now when absent.
    let occurredAt: Instant?
    let sourceID: SourceID?

    /// Bytes of one item.
    static let itemBytes = 64 << 10
    /// How deep the value of a trait may nest.
    static let depth = 16
    static let mostTraits = 256
    static let longestTraitName = 512
    /// Identifiers of one item.
    static let mostIdentifiers = 16
    /// How far a caller's clock may be ahead.
    static let leeway: Duration = .minutes(5)

    init(
        identifiers: [Identifier], traits: [String: JSON], occurredAt: Instant?, sourceID: SourceID?
    ) {
        self.identifiers = identifiers
        self.traits = traits
        self.occurredAt = occurredAt
        self.sourceID = sourceID
    }

    /// Reads one item out of the text of a body. Whatever is wrong with it is its own.
    init(text: ArraySlice<UInt8>, now: Instant) throws(ItemRefusal) {
        guard text.count <= Self.itemBytes else {
            throw ItemRefusal("an item may have at most \(Self.itemBytes) bytes")
        }
        do {
            // The traits stand two levels down.
            let json = try JSONParser.parse(text, limits: .init(maxDepth: Self.depth + 2))
            try self.init(json: json, now: now)
        } catch let error as JSONError {
            throw ItemRefusal(error)
        } catch let error as DecodingProblem {
            throw ItemRefusal(error)
        } catch {
            throw ItemRefusal("the item can't be read")
        }
    }

    init(json: JSON, now: Instant) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(["identifiers", "traits", "occurredAt", "sourceId"])
        identifiers = try Self.identifiers(in: fields)
        traits = try fields.objectIfPresent("traits")
        try Self.check(traits: traits, at: "traits")
        occurredAt = try fields.optionalInstant("occurredAt")
        if let occurredAt, occurredAt > now + Self.leeway || occurredAt < Instant(milliseconds: 0) {
            throw fields.problem("occurredAt", expected: "a time between 1970 and now")
        }
        sourceID = try fields.optionalID("sourceId")
        try checkEmail(fields)
    }

    private static func identifiers(in fields: JSONFields) throws(DecodingProblem) -> [Identifier] {
        let items = try fields.array("identifiers")
        guard (1...mostIdentifiers).contains(items.count) else {
            throw fields.problem("identifiers", expected: "1 to \(mostIdentifiers) identifiers")
        }
        var identifiers: [Identifier] = []
        for (index, item) in items.enumerated() {
            let path = "identifiers.\(index)"
            let identifier = try Identifier(json: item, at: path)
            guard !identifier.value.containsControlCharacters else {
                throw try JSONFields(item, at: path).problem(
                    "value", expected: "text without control characters")
            }
            if !identifiers.contains(identifier) { identifiers.append(identifier) }
        }
        guard Set(identifiers.map(\.kind)).count == identifiers.count else {
            throw fields.problem("identifiers", expected: "one identifier of each type")
        }
        return identifiers
    }

    /// Checks traits as callers send them.
    static func check(traits: [String: JSON], at path: String) throws(DecodingProblem) {
        guard traits.count <= mostTraits else {
            throw DecodingProblem(
                path: path, expected: "at most \(mostTraits) traits",
                message: "there may be at most \(mostTraits) traits in one item; send it in parts")
        }
        for name in traits.keys where name.isEmpty || name.utf8.count > longestTraitName {
            throw DecodingProblem(
                path: path, expected: "names of 1 to \(longestTraitName) bytes",
                message: "the name of a trait must have 1 to \(longestTraitName) bytes")
        }
    }

    /// An address among the traits names a person as well; two of them would be two people.
    private func checkEmail(_ fields: JSONFields) throws(DecodingProblem) {
        guard let identifier = identifiers.first(where: { $0.kind == .email }),
            let trait = Identifier(.email, traits["email"]?.string), trait != identifier
        else { return }
        throw DecodingProblem(
            path: fields.path(of: "traits") + ".email", expected: "the e-mail address among the identifiers",
            message: "traits.email must be the address that is among the identifiers, or be left out")
    }

    /// Why the policy takes one of the identifiers for none; a caller who names somebody by it must know.
    func refusal(by policy: IdentityPolicy) -> ItemRefusal? {
        for (index, identifier) in identifiers.enumerated() {
            let type: JSON = .string(identifier.kind.rawValue)
            do {
                _ = try policy.identifier(
                    json: ["type": type, "value": .string(identifier.value)], at: "identifiers.\(index)")
            } catch {
                return ItemRefusal(error)
            }
        }
        return nil
    }

    /// The call that says the same, as if it had come through ingestion.
    func event(
        messageID: String, now: Instant, library: String = "martlet-profile-api"
    ) -> TrackingEvent {
        func value(_ kind: Identifier.Kind) -> String? { identifiers.first { $0.kind == kind }?.value }
        var context: [String: JSON] = ["library": ["name": .string(library)]]
        let others = identifiers.filter { ![.userID, .anonymousID, .email].contains($0.kind) }
        if !others.isEmpty {
            context["externalIds"] = .array(
                others.map {
                    [
                        "id": .string($0.value), "type": .string($0.kind.rawValue), "collection": "users",
                        "encoding": "none",
                    ]
                })
        }
        if let email = value(.email) { context["traits"] = ["email": .string(email)] }
        return TrackingEvent(
            messageID: messageID, kind: .identify, userID: value(.userID), anonymousID: value(.anonymousID),
            timestamp: min(occurredAt ?? now, now), originalTimestamp: occurredAt, receivedAt: now,
            sourceID: sourceID ?? .profileAPI, traits: traits, context: context)
    }
}

extension SourceID {
    /// The API itself as the source of what it is told by callers who name none.
    static let profileAPI = SourceID(UUID(high: 0, low: 0))
}
