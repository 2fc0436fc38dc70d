import Models

/// What an export tells of a member besides its id: an identifier, `email`, or a trait, `traits.firstName`.
enum ExportField: Hashable {
    case identifier(Identifier.Kind)
    case trait(String)

    static let most = 20
    private static let traits = "traits."

    /// Nil for text that names neither.
    init?(_ text: String) {
        if text.hasPrefix(Self.traits) {
            let name = String(text.dropFirst(Self.traits.count))
            guard !name.isEmpty else { return nil }
            self = .trait(name)
        } else if let kind = Identifier.Kind(rawValue: text) {
            self = .identifier(kind)
        } else {
            return nil
        }
    }

    /// As callers write it, and as it heads its column.
    var name: String {
        switch self {
        case .identifier(let kind): kind.rawValue
        case .trait(let name): Self.traits + name
        }
    }
}
