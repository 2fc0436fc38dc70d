package import JourneysDomain
import MarkedYAML

/// Reads a definition that is written as YAML, keeping the place of every key and value.
package enum DefinitionYAML {
    package static func parse(_ bytes: [UInt8]) throws(DefinitionMistake) -> DefinitionNode {
        do throws(YAMLMistake) {
            return DefinitionNode(
                try YAMLReader.parse(bytes, what: "a journey", depth: DefinitionLimits.depth))
        } catch {
            throw DefinitionMistake(
                at: SourceMark(error.mark), path: "", expected: error.expected, found: error.found)
        }
    }
}

extension SourceMark {
    fileprivate init(_ mark: YAMLMark) {
        self.init(line: mark.line, column: mark.column)
    }
}

extension DefinitionNode {
    fileprivate init(_ node: YAMLNode) {
        let value: Value =
            switch node.value {
            case .null: .null
            case .bool(let value): .bool(value)
            case .integer(let value): .integer(value)
            case .double(let value): .double(value)
            case .string(let value): .string(value)
            case .array(let elements): .array(elements.map { DefinitionNode($0) })
            case .object(let members):
                .object(
                    members.map {
                        Member(
                            key: $0.key, keyMark: SourceMark($0.keyMark), value: DefinitionNode($0.value))
                    })
            }
        self.init(value, at: SourceMark(node.mark))
    }
}
