import Models

/// A place in a text, counted from 1; the column counts characters (Unicode scalars), not bytes.
package struct TextPosition: Hashable, Sendable {
    package var line: Int
    package var column: Int

    /// Where the byte at `offset` stands.
    package init(of offset: Int, in text: [UInt8]) {
        line = 1
        column = 1
        for byte in text.prefix(max(0, offset)) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
    }

    /// Where the value at `path` stands in the JSON text, or the nearest value around it that is there.
    package init(of path: RulePath, in text: [UInt8]) {
        var value = text[...]
        for component in path.components {
            guard let inner = Self.child(component, of: value) else { break }
            value = inner
        }
        let blanks = value.prefix { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        self.init(of: value.startIndex + blanks.count, in: text)
    }

    private static func child(_ component: String, of value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        // The last of duplicate keys is the one that counts, as in parsing.
        if let members = try? JSONParser.members(of: value) {
            return members.last { $0.key == component }?.value
        }
        guard let index = Int(component), let elements = try? JSONParser.elements(of: value),
            elements.indices.contains(index)
        else { return nil }
        return elements[index]
    }
}
