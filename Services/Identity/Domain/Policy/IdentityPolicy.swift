package import Models

/// What counts as an identifier, how its values are written, and how far it may join profiles: one declarative file,
/// of which this is the parsed form.
package struct IdentityPolicy: Hashable, Sendable {
    /// Counts the changes; causes and evidence name it. Zero is the one that Martlet ships.
    package var version: Int64
    /// By priority, the strongest first.
    package let types: [IdentifierPolicy]
    /// What holds for the ids of other systems that are not named in `types`; nil where those are not wanted.
    package let others: IdentifierPolicy?
    /// Values that say nothing, of whatever type.
    package let blocked: BlockedValues
    /// The country of telephone numbers without one: ISO 3166-1, two letters.
    package let defaultRegion: String?
    /// Which value of a trait holds, by its name; of others the latest.
    package let traits: [String: TraitPolicy]

    private let byKind: [Identifier.Kind: IdentifierPolicy]
    /// The types of which a profile may hold only so many.
    package let limited: [IdentifierPolicy]

    package init(
        version: Int64 = 0, types: [IdentifierPolicy], others: IdentifierPolicy?, blocked: BlockedValues,
        defaultRegion: String?, traits: [String: TraitPolicy] = [:]
    ) {
        self.version = version
        self.types = types.sorted {
            $0.priority != $1.priority
                ? $0.priority < $1.priority : $0.kind.rawValue.precedesInUTF8($1.kind.rawValue)
        }
        self.others = others
        self.blocked = blocked
        self.defaultRegion = defaultRegion
        self.traits = traits
        byKind = Dictionary(types.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first })
        limited = self.types.filter { $0.limit != nil }
    }

    /// What holds for a type; nil for one that nobody is known by.
    package func policy(of kind: Identifier.Kind) -> IdentifierPolicy? {
        if let known = byKind[kind] { return known }
        guard kind.rawValue.utf8.contains(UInt8(ascii: ":")), var others else { return nil }
        others.kind = kind
        return others
    }

    /// The identifier that a value is, or why nobody can be known by it.
    package func identifier(_ kind: Identifier.Kind, _ raw: String) throws(IdentifierRefusal) -> Identifier {
        guard let policy = policy(of: kind) else { throw .unknownType }
        guard raw.utf8.count <= policy.maxBytes else { throw .tooLong(bytes: policy.maxBytes) }
        for scalar in raw.unicodeScalars where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
            throw .controlCharacters
        }
        var value = policy.normalised(raw)
        if policy.shape == .phone {
            guard let number = E164(value, defaultRegion: defaultRegion) else { throw .shape(.phone) }
            value = number.text
        }
        guard !value.isEmpty else { throw .empty }
        if policy.shape == .email, !Identifier.looksLikeEmail(value) { throw .shape(.email) }
        if blocked.contains(value) || policy.blocked.contains(value) { throw .blocked }
        return Identifier(kind, normalised: value)
    }
}

/// What holds for one type of identifiers.
package struct IdentifierPolicy: Hashable, Sendable {
    /// What values look like.
    package enum Shape: String, CaseIterable, Sendable { case text, email, phone }
    /// How values are brought to one form, in this order.
    package enum Step: String, CaseIterable, Sendable { case trim, nfc, nfkc, lowercase, uppercase }

    package var kind: Identifier.Kind
    /// The smaller, the stronger: of two identifiers that cannot both be right the weaker is let go.
    package var priority: Int
    /// Where events have it.
    package var fields: [IdentifierField]
    package var shape: Shape
    package var steps: [Step]
    /// How many of it a profile may hold; nil for any number.
    package var limit: Int?
    /// Over which time they count, by when they were last seen; nil for ever.
    package var window: Duration?
    package var maxBytes: Int
    /// With how many other people a value may be seen before it says nothing any more; nil for any number.
    package var sharedBy: Int?
    package var blocked: BlockedValues

    package init(
        kind: Identifier.Kind, priority: Int, fields: [IdentifierField] = [], shape: Shape = .text,
        steps: [Step] = [.trim, .nfc], limit: Int? = nil, window: Duration? = nil, maxBytes: Int = 1024,
        sharedBy: Int? = nil, blocked: BlockedValues = BlockedValues()
    ) {
        self.kind = kind
        self.priority = priority
        self.fields = fields
        self.shape = shape
        self.steps = steps
        self.limit = limit
        self.window = window
        self.maxBytes = maxBytes
        self.sharedBy = sharedBy
        self.blocked = blocked
    }

    func normalised(_ raw: String) -> String {
        var value = raw
        let isASCII = raw.utf8.allSatisfy { $0 < 0x80 }
        for step in steps {
            switch step {
            case .trim:
                if value.first?.isWhitespace == true || value.last?.isWhitespace == true {
                    value = value.trimmed()
                }
            case .nfc: if !isASCII { value = value.canonicallyComposed }
            case .nfkc: if !isASCII { value = value.compatiblyComposed }
            case .lowercase: value = value.lowercased()
            case .uppercase: value = value.uppercased()
            }
        }
        return value
    }
}

/// A place in an event where an identifier stands.
package enum IdentifierField: Hashable, Sendable {
    case userID, anonymousID
    /// Of an identify call.
    case traits([String])
    case context([String])

    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !parts.contains("") else { return nil }
        switch (parts.first, parts.count) {
        case ("userId", 1): self = .userID
        case ("anonymousId", 1): self = .anonymousID
        case ("traits", 2...5): self = .traits(Array(parts.dropFirst()))
        case ("context", 2...5): self = .context(Array(parts.dropFirst()))
        default: return nil
        }
    }

    func value(in event: TrackingEvent) -> JSON? {
        switch self {
        case .userID: event.userID.map { .string($0) }
        case .anonymousID: event.anonymousID.map { .string($0) }
        case .traits(let path): event.kind == .identify ? Self.find(path, in: event.traits) : nil
        case .context(let path): Self.find(path, in: event.context)
        }
    }

    private static func find(_ path: [String], in members: [String: JSON]) -> JSON? {
        guard let first = path.first, var value = members[first] else { return nil }
        for key in path.dropFirst() {
            guard let next = value[key] else { return nil }
            value = next
        }
        return value
    }
}

/// Why nobody can be known by a value.
package enum IdentifierRefusal: Error, Hashable, Sendable {
    case unknownType, empty, blocked, controlCharacters
    case tooLong(bytes: Int)
    case shape(IdentifierPolicy.Shape)

    /// As the timeline has it.
    package var reason: String {
        switch self {
        case .unknownType: "unknownType"
        case .empty: "empty"
        case .blocked: "blocked"
        case .controlCharacters: "controlCharacters"
        case .tooLong: "tooLong"
        case .shape: "shape"
        }
    }
}

extension IdentityPolicy {
    /// Traits that hold identifiers, or have one inside.
    package var identifyingTraits: Set<String> {
        Set(
            types.flatMap(\.fields).compactMap { field in
                if case .traits(let path) = field { path.first } else { nil }
            })
    }

    /// Reads `{"type":"email","value":"someone@example.com"}` as the policy says.
    package func identifier(json: JSON, at path: String = "") throws(DecodingProblem) -> Identifier {
        let fields = try JSONFields(json, at: path)
        guard let kind = Identifier.Kind(rawValue: try fields.string("type")), policy(of: kind) != nil else {
            let known = types.map(\.kind.rawValue).joined(separator: ", ")
            throw fields.problem("type", expected: "a type of the identity policy: \(known)")
        }
        let raw = try fields.string("value")
        do {
            return try identifier(kind, raw)
        } catch {
            switch error {
            case .shape(.email): throw fields.problem("value", expected: "an e-mail address")
            case .shape: throw fields.problem("value", expected: "a telephone number with its country")
            case .blocked:
                throw fields.problem("value", expected: "a value that says something of one person")
            default:
                throw fields.problem(
                    "value", expected: "1 to \(policy(of: kind)?.maxBytes ?? 512) bytes of text")
            }
        }
    }
}
