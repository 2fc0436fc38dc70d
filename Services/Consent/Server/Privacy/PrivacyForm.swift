import ConsentDomain
import Models
import ServiceKit

/// A privacy request as somebody sends it.
struct PrivacyForm: Sendable {
    let kind: PrivacyRequestKind
    let regime: PrivacyRegime
    let subject: Subject
    let receivedAt: Instant?
    let needsVerification: Bool
    /// How whoever passes it on knows who asks: a method, and perhaps a note.
    let verification: String?
    let assignee: String?
    let reference: String?
    let detail: JSON?
    /// Those that are objected to; nil where none are named.
    let purposes: [String]?

    private static let members: Set<String> = [
        "type", "subject", "regime", "receivedAt", "verification", "verifiedBy", "assignee", "reference",
        "corrections", "purposes",
    ]
    private static let mostPurposes = 100
    static let noteLimit = 4_000

    init(_ json: JSON, now: Instant) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(Self.members)
        kind = try fields.choice("type")
        regime = fields["regime"] == nil ? kind.regime : try fields.choice("regime")
        subject = try Subject(fields)
        receivedAt = try fields.optionalInstant("receivedAt")
        if let receivedAt, receivedAt > now || receivedAt < now - .hours(24 * 366) {
            throw fields.problem(
                "receivedAt", expected: "a time within the last year, and not later than now")
        }
        verification = fields["verifiedBy"] == nil ? nil : try Self.verification(fields.fields("verifiedBy"))
        needsVerification = try Self.needsVerification(fields, of: kind, isVerified: verification != nil)
        assignee = try Self.label("assignee", in: fields)
        reference = try Self.label("reference", in: fields)
        purposes = try Self.purposes(in: fields, of: kind)
        detail = try Self.corrections(in: fields, of: kind)
    }

    /// What is to be stored of how somebody was verified: `method: note`.
    static func verification(_ fields: JSONFields) throws(DecodingProblem) -> String {
        try fields.allow(["method", "note"])
        let method = try fields.text("method", expected: labelRule, Purpose.isLabel)
        guard fields["note"] != nil else { return method }
        return "\(method): \(try fields.text("note", limit: noteLimit))"
    }

    private enum Verification: String, CaseIterable { case required, none }

    /// What is known of somebody is never shown to whom nobody has looked at.
    private static func needsVerification(
        _ fields: JSONFields, of kind: PrivacyRequestKind, isVerified: Bool
    ) throws(DecodingProblem) -> Bool {
        guard fields["verification"] != nil else { return kind.discloses && !isVerified }
        switch try fields.choice("verification", as: Verification.self) {
        case .required:
            if isVerified {
                throw fields.problem("verification", expected: "absent where verifiedBy says who was asked")
            }
            return true
        case .none:
            if kind.discloses, !isVerified {
                throw fields.problem(
                    "verification",
                    expected: "required for \(kind.rawValue), unless verifiedBy names the method")
            }
            return false
        }
    }

    private static func label(_ key: String, in fields: JSONFields) throws(DecodingProblem) -> String? {
        fields[key] == nil ? nil : try fields.text(key, expected: labelRule, Purpose.isLabel)
    }

    private static func purposes(
        in fields: JSONFields, of kind: PrivacyRequestKind
    ) throws(DecodingProblem) -> [String]? {
        guard fields["purposes"] != nil else { return nil }
        guard kind == .objection || kind == .optOut else {
            throw fields.problem("purposes", expected: "absent except of an objection or optOut")
        }
        let purposes = try fields.array("purposes").compactMap(\.string)
        guard try purposes.count == fields.array("purposes").count, purposes.allSatisfy(Purpose.isID),
            (1...mostPurposes).contains(purposes.count)
        else { throw fields.problem("purposes", expected: "1 to \(mostPurposes) ids of purposes") }
        return purposes
    }

    /// An identifier that is right, and perhaps the one of the same type that is wrong.
    private static func correction(_ json: JSON, at path: String) throws(DecodingProblem) -> JSON {
        let fields = try JSONFields(json, at: path)
        try fields.allow(["type", "value", "replaces"])
        let identifier = try Identifier(json: json, at: path)
        guard fields["replaces"] != nil, case .object(var members) = identifier.json else {
            return identifier.json
        }
        guard
            let wrong = Identifier(
                identifier.kind, try fields.text("replaces", limit: Identifier.longestValue)),
            wrong != identifier
        else { throw fields.problem("replaces", expected: "another identifier of the same type") }
        members["replaces"] = .string(wrong.value)
        return .object(members)
    }

    /// What one correction may hold at identity, whatever its policy: it would be refused there when somebody has long been told
    /// that it is on its way.
    private static let (mostTraits, longestTraitName, mostBytes) = (256, 512, 60 << 10)

    /// Refuses what identity would never carry out.
    private static func check(
        _ traits: [String: JSON], _ identifiers: [JSON], _ fields: JSONFields
    ) throws(DecodingProblem) {
        guard traits.count <= mostTraits,
            traits.keys.allSatisfy({ (1...longestTraitName).contains($0.utf8.count) })
        else {
            throw fields.problem(
                "traits",
                expected: "at most \(mostTraits) traits with names of 1 to \(longestTraitName) bytes")
        }
        let types = identifiers.compactMap { $0["type"]?.string }
        guard Set(types).count == types.count else {
            throw fields.problem("identifiers", expected: "one identifier of each type")
        }
        let address = identifiers.first { $0["type"]?.string == Identifier.Kind.email.rawValue }?["value"]?
            .string
        if let address, let said = Identifier(.email, traits["email"]?.string ?? ""),
            said != Identifier(.email, address)
        {
            throw fields.problem("traits", expected: "no other email than the one among the identifiers")
        }
        let all: JSON = ["traits": .object(traits), "identifiers": .array(identifiers)]
        guard all.compact.utf8.count <= mostBytes else {
            throw fields.problem("traits", expected: "corrections of at most \(mostBytes) bytes")
        }
    }

    private static func corrections(
        in fields: JSONFields, of kind: PrivacyRequestKind
    ) throws(DecodingProblem) -> JSON? {
        guard kind == .rectification else {
            if fields["corrections"] != nil {
                throw fields.problem("corrections", expected: "absent except of a rectification")
            }
            return nil
        }
        let corrections = try fields.fields("corrections")
        try corrections.allow(["traits", "identifiers"])
        let traits = try corrections.objectIfPresent("traits")
        var identifiers: [JSON] = []
        if corrections["identifiers"] != nil {
            for (index, element) in try corrections.array("identifiers").enumerated() {
                let path = "corrections.identifiers.\(index)"
                identifiers.append(try Self.correction(element, at: path))
            }
        }
        guard !traits.isEmpty || !identifiers.isEmpty, identifiers.count <= 15 else {
            throw fields.problem(
                "corrections", expected: "an object with traits, or identifiers (at most 15), or both")
        }
        try check(traits, identifiers, corrections)
        return ["traits": .object(traits), "identifiers": .array(identifiers)]
    }
}
