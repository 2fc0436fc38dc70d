/// The ids that somebody has in other systems, as calls carry them in `context.externalIds`. The form is Segment's:
/// `[{"id":"123","type":"hubspot:contact","collection":"users","encoding":"none"}]`.
extension Identifier {
    /// At most so many of one call are looked at.
    package static let mostExternal = 20

    /// What a call's context names somebody by, as it was sent but for white space at its ends. Whether anybody is known
    /// by it, the identity policy says.
    package static func external(in context: [String: JSON]) -> [Identifier] {
        guard let items = context["externalIds"]?.array else { return [] }
        var found: [Identifier] = []
        for item in items.prefix(mostExternal) {
            // Ids of accounts say nothing of a person, and what is encoded is none that anybody could be found by.
            guard let type = item["type"]?.string, let kind = Kind(externalType: type),
                item["collection"]?.string ?? "users" == "users",
                item["encoding"]?.string ?? "none" == "none",
                let id = item["id"]?.string ?? item["id"]?.integer.map({ String($0) }),
                id.utf8.count <= longestValue, let identifier = Identifier(kind, id.trimmed()),
                !found.contains(identifier)
            else { continue }
            found.append(identifier)
        }
        return found
    }

    /// What something that is about somebody may be kept under. An id of another system stands with its type, because a
    /// third system may have given the same number to somebody else.
    package var name: String {
        kind.rawValue.utf8.contains(UInt8(ascii: ":")) ? "\(kind.rawValue):\(value)" : value
    }
}

extension Identifier.Kind {
    /// Segment writes the names of its own types in another way there.
    package init?(externalType: String) {
        switch externalType {
        case "user_id": self = .userID
        case "anonymous_id": self = .anonymousID
        default: self.init(rawValue: externalType)
        }
    }
}
