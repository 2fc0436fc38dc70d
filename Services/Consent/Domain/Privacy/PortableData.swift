package import Models

/// What somebody has provided, out of everything that the services found (GDPR article 20): who they said they are, what
/// they did, what they agreed to, and what they bought. What was made out of it (segments, scores, interests) is not theirs
/// to take along; an access shows that.
package enum PortableData {
    /// Where a part stands in what a service found.
    package struct Part: Sendable {
        package let name: String
        package let service: String
        /// The member of the service's report.
        package let member: String

        /// It, in a report.
        package func value(of report: JSON) -> JSON { report[member] ?? .null }
    }

    package static let parts = [
        Part(name: "profile", service: "identity", member: "profile"),
        Part(name: "events", service: "identity", member: "timeline"),
        Part(name: "consents", service: "consent", member: "ledger"),
        Part(name: "orders", service: "recommendation", member: "orders"),
    ]

    /// The parts, in JSON.
    package static func of(_ findings: [String: JSON]) -> JSON {
        var members: [String: JSON] = [:]
        for part in parts {
            members[part.name] = part.value(of: findings[part.service] ?? .null)
        }
        return .object(members)
    }

    /// The same as a table (RFC 4180): a line for each single value, with where it stands.
    ///
    /// `part` and `item` say of what, `name` is the path within it and `value` the value as in JSON, texts without quotes.
    package static func csv(of data: JSON) -> String {
        (data.object ?? [:]).sorted { $0.key < $1.key }.reduce(into: csvHeader) { text, part in
            text += csvLines(of: items(of: part.value), in: part.key, from: 1)
        }
    }

    package static let csvHeader = "part,item,name,value\r\n"

    /// What is a list is so many items, anything else one.
    package static func items(of value: JSON) -> [JSON] { value.array ?? (value.isNull ? [] : [value]) }

    /// The lines of items of a part, the first of which is counted `first`.
    package static func csvLines(of items: [JSON], in part: String, from first: Int) -> String {
        var text = ""
        for (number, item) in items.enumerated() {
            for leaf in leaves(of: item, at: "") {
                text += [part, "\(first + number)", leaf.name, leaf.value].map(cell).joined(separator: ",")
                text += "\r\n"
            }
        }
        return text
    }

    private static func leaves(of value: JSON, at path: String) -> [(name: String, value: String)] {
        func below(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
        switch value {
        case .object(let members) where !members.isEmpty:
            return members.sorted { $0.key < $1.key }.flatMap { leaves(of: $0.value, at: below($0.key)) }
        case .array(let elements) where !elements.isEmpty:
            return elements.enumerated().flatMap { leaves(of: $1, at: below("\($0)")) }
        case .string(let text): return [(path, text)]
        default: return [(path, value.compact)]
        }
    }

    /// Quoted where it has to be. A text that a spreadsheet would take for a formula begins with an apostrophe there.
    private static func cell(_ text: String) -> String {
        var text = text
        if let first = text.unicodeScalars.first, "=+-@\t\r\n".unicodeScalars.contains(first),
            Double(text) == nil
        {
            text = "'" + text
        }
        let needsQuotes = text.unicodeScalars.contains { "\",\r\n;".unicodeScalars.contains($0) }
        return needsQuotes ? "\"" + text.replacing("\"", with: "\"\"") + "\"" : text
    }
}
