import Models

/// Reads a definition that is written as JSON, keeping the place of every value.
package struct DefinitionJSON {
    private let bytes: ArraySlice<UInt8>
    /// The offset at which each line begins.
    private let lines: [Int]

    /// Refuses what is no JSON with the place where it stops being it.
    package static func parse(_ bytes: [UInt8]) throws(DefinitionMistake) -> DefinitionNode {
        let text = DefinitionJSON(bytes[...])
        do {
            return try text.node(bytes[...], depth: 0)
        } catch {
            throw DefinitionMistake(
                at: text.mark(error.offset), path: "", expected: "JSON", found: error.message)
        }
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        lines = [bytes.startIndex] + bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
    }

    private func node(_ text: ArraySlice<UInt8>, depth: Int) throws(JSONError) -> DefinitionNode {
        let text = text.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        let mark = mark(text.startIndex)
        guard depth <= DefinitionLimits.depth else {
            throw JSONError(.tooDeep, at: text.startIndex, "nesting deeper than \(DefinitionLimits.depth)")
        }
        do {
            switch text.first {
            case UInt8(ascii: "{"):
                var members: [DefinitionNode.Member] = []
                for (key, value) in try JSONParser.members(of: text) {
                    let value = try nested(value, depth: depth)
                    members.append(DefinitionNode.Member(key: key, keyMark: value.mark, value: value))
                }
                return DefinitionNode(.object(members), at: mark)
            case UInt8(ascii: "["):
                var elements: [DefinitionNode] = []
                for element in try JSONParser.elements(of: text) {
                    elements.append(try nested(element, depth: depth))
                }
                return DefinitionNode(.array(elements), at: mark)
            default:
                return DefinitionNode(try JSONParser.parse(text), at: mark)
            }
        } catch let error as Placed {
            throw error.error
        } catch let error as JSONError {
            throw JSONError(error.kind, at: text.startIndex + error.offset, error.message)
        } catch {
            throw JSONError(.syntax, at: text.startIndex, "what is no JSON")
        }
    }

    /// An error whose offset is counted from the start of the whole text already.
    private struct Placed: Error {
        var error: JSONError
    }

    private func nested(_ text: ArraySlice<UInt8>, depth: Int) throws(Placed) -> DefinitionNode {
        do {
            return try node(text, depth: depth + 1)
        } catch {
            throw Placed(error: error)
        }
    }

    private func mark(_ offset: Int) -> SourceMark {
        var low = 0
        var high = lines.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lines[middle] <= offset { low = middle } else { high = middle }
        }
        let end = min(max(offset, lines[low]), bytes.endIndex)
        return SourceMark(
            line: low + 1,
            column: String(decoding: bytes[lines[low]..<end], as: UTF8.self).unicodeScalars.count + 1)
    }
}
