/// A strict parser for RFC 8259. Of members with the same name the last wins, as in jsonb and ECMAScript.
/// `\u0000` and lone surrogates are refused, because neither jsonb nor UTF-8 can hold them.
package struct JSONParser {
    /// What a text may cost.
    package struct Limits: Sendable {
        /// How deep arrays and objects may nest; the outermost is at depth 1.
        package var maxDepth: Int

        package init(maxDepth: Int = 128) { self.maxDepth = maxDepth }
    }

    /// Parses one value with nothing but white space around it.
    package static func parse(
        _ bytes: some Collection<UInt8>, limits: Limits = Limits()
    ) throws(JSONError) -> JSON {
        let quick = bytes.withContiguousStorageIfAvailable { buffer in
            Result { () throws(JSONError) in try parse(buffer, limits: limits) }
        }
        if let quick { return try quick.get() }
        return try Array(bytes).withUnsafeBufferPointer { buffer throws(JSONError) in
            try parse(buffer, limits: limits)
        }
    }

    /// Members that no values are made of: those of a name, in the objects at a depth (the outermost is at 1).
    package struct PassedOver: Sendable {
        package var name: String
        package var depth: Int

        package init(_ name: String, atDepth depth: Int) { (self.name, self.depth) = (name, depth) }
    }

    /// Parses one value with nothing but white space around it. Members that are passed over are missing in it, and only
    /// their syntax is looked at.
    package static func parse(
        _ text: String, limits: Limits = Limits(), passingOver members: PassedOver? = nil
    ) throws(JSONError) -> JSON {
        guard let members else { return try parse(text.utf8, limits: limits) }
        var text = text
        let result = text.withUTF8 { buffer in
            Result { () throws(JSONError) in try parse(buffer, limits: limits, passingOver: members) }
        }
        return try result.get()
    }

    private static func parse(
        _ buffer: UnsafeBufferPointer<UInt8>, limits: Limits, passingOver members: PassedOver? = nil
    ) throws(JSONError) -> JSON {
        var scanner = JSONScanner(buffer)
        if let members { scanner.passedOver = (members.name, limits.maxDepth + 1 - members.depth) }
        let value = try scanner.value(depthLeft: limits.maxDepth)
        try scanner.end()
        return value
    }

    /// The members of an object, with the text of each value, in order and with duplicates. The syntax of
    /// the whole text is checked without recursion, so no depth of nesting can exhaust the stack; what the
    /// values hold (depth, number range, UTF-8, surrogates) is left to `parse` of each.
    package static func members(
        of text: ArraySlice<UInt8>
    ) throws(JSONError) -> [(key: String, value: ArraySlice<UInt8>)] {
        try text.withUnsafeBufferPointer { buffer throws(JSONError) in
            var scanner = JSONScanner(buffer)
            var members: [(key: String, value: ArraySlice<UInt8>)] = []
            scanner.skipWhitespace()
            try scanner.expect(UInt8(ascii: "{"), "an object")
            scanner.skipWhitespace()
            if !scanner.take(UInt8(ascii: "}")) {
                repeat {
                    let key = try scanner.memberName()
                    let range = try scanner.valueRange()
                    members.append(
                        (key, text[text.startIndex + range.lowerBound..<text.startIndex + range.upperBound]))
                    scanner.skipWhitespace()
                } while scanner.take(UInt8(ascii: ","))
                try scanner.expect(UInt8(ascii: "}"), "',' or '}'")
            }
            try scanner.end()
            return members
        }
    }

    /// The texts of the elements of an array; checked as `members(of:)` checks.
    package static func elements(of text: ArraySlice<UInt8>) throws(JSONError) -> [ArraySlice<UInt8>] {
        try text.withUnsafeBufferPointer { buffer throws(JSONError) in
            var scanner = JSONScanner(buffer)
            var elements: [ArraySlice<UInt8>] = []
            scanner.skipWhitespace()
            try scanner.expect(UInt8(ascii: "["), "an array")
            scanner.skipWhitespace()
            if !scanner.take(UInt8(ascii: "]")) {
                repeat {
                    let range = try scanner.valueRange()
                    elements.append(
                        text[text.startIndex + range.lowerBound..<text.startIndex + range.upperBound])
                    scanner.skipWhitespace()
                } while scanner.take(UInt8(ascii: ","))
                try scanner.expect(UInt8(ascii: "]"), "',' or ']'")
            }
            try scanner.end()
            return elements
        }
    }
}
