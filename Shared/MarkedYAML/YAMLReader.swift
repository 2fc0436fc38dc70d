import Yams

/// Reads YAML (1.2 core types) that a person wrote, keeping the place of every key and value.
///
/// Anchors and aliases are refused: what people write here has no use for them, and a few lines of them unfold to
/// millions of values.
package enum YAMLReader {
    /// Reads one document whose values nest at most `depth` deep. `what` says what the text is to be, for a text with
    /// nothing in it.
    package static func parse(_ bytes: [UInt8], what: String, depth: Int) throws(YAMLMistake) -> YAMLNode {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw mistake(1, 1, expected: "text in UTF-8", found: "other bytes")
        }
        try YAMLGuard.check(text, depth: depth)
        let root: Node?
        do {
            root = try Yams.compose(yaml: text, .basic, .default, .utf8)
        } catch let error as YamlError {
            throw described(error)
        } catch {
            throw mistake(1, 1, expected: "YAML", found: "something else")
        }
        guard let root else { throw mistake(1, 1, expected: what, found: "nothing") }
        return try node(root, depth: 0, limit: depth)
    }

    private static func node(_ node: Node, depth: Int, limit: Int) throws(YAMLMistake) -> YAMLNode {
        let mark = mark(node.mark)
        guard node.anchor == nil else {
            throw YAMLMistake(at: mark, expected: "no anchors (`&…`) and aliases (`*…`)", found: "one")
        }
        guard depth <= limit else {
            throw YAMLMistake(at: mark, expected: "values nested at most \(limit) deep", found: "more")
        }
        switch node {
        case .scalar(let scalar): return YAMLNode(try value(of: scalar, at: mark), at: mark)
        case .sequence(let sequence):
            var elements: [YAMLNode] = []
            for element in sequence {
                elements.append(try self.node(element, depth: depth + 1, limit: limit))
            }
            return YAMLNode(.array(elements), at: mark)
        case .mapping(let mapping):
            var members: [YAMLNode.Member] = []
            for (key, value) in mapping {
                let keyMark = self.mark(key.mark)
                guard case .scalar(let scalar) = key, key.anchor == nil else {
                    throw YAMLMistake(at: keyMark, expected: "a text as key", found: "a collection")
                }
                let value = try self.node(value, depth: depth + 1, limit: limit)
                members.append(YAMLNode.Member(key: scalar.string, keyMark: keyMark, value: value))
            }
            return YAMLNode(.object(members), at: mark)
        case .alias: throw YAMLMistake(at: mark, expected: "no aliases (`*…`)", found: "one")
        }
    }

    /// The core schema of YAML 1.2: only plain scalars can be other than text, and `no` is a text.
    private static func value(of scalar: Node.Scalar, at mark: YAMLMark) throws(YAMLMistake) -> YAMLNode.Value
    {
        let text = scalar.string
        guard !text.utf8.contains(0) else {
            throw YAMLMistake(at: mark, expected: "text without U+0000", found: "one")
        }
        guard scalar.style == .plain else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if text.wholeMatch(of: #/[-+]?[0-9]+/#) != nil, let number = Int64(text) { return .integer(number) }
        if text.wholeMatch(of: #/[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?/#) != nil,
            let number = Double(text), number.isFinite
        {
            return .double(number)
        }
        return .string(text)
    }

    // MARK: Errors

    private static func described(_ error: YamlError) -> YAMLMistake {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let found = [context?.text, problem].compactMap { $0 }.joined(separator: ": ")
            return mistake(mark.line, mark.column, expected: "YAML", found: found)
        case .reader(let problem, let offset, _, let yaml):
            let before = yaml.unicodeScalars.prefix(offset ?? 0)
            let line = before.count { $0 == "\n" } + 1
            let column = before.reversed().prefix { $0 != "\n" }.count + 1
            return mistake(line, column, expected: "YAML", found: problem)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let keys = duplicates.prefix(3).map { "`\($0)`" }.joined(separator: ", ")
            return mistake(
                context.mark.line, context.mark.column, expected: "each key once", found: "\(keys) again")
        default:
            return mistake(1, 1, expected: "YAML", found: "something else")
        }
    }

    private static func mark(_ mark: Mark?) -> YAMLMark {
        YAMLMark(line: max(1, mark?.line ?? 1), column: max(1, mark?.column ?? 1))
    }

    private static func mistake(_ line: Int, _ column: Int, expected: String, found: String) -> YAMLMistake {
        YAMLMistake(
            at: YAMLMark(line: max(1, line), column: max(1, column)), expected: expected, found: found)
    }
}
