import Models
import Yams

/// A mistake in a file that a person wrote: where it is, and what was expected there.
struct FileProblem: Error, Equatable, CustomStringConvertible {
    let file: String
    let line: Int
    let message: String

    var description: String { "\(file):\(line): \(message)" }
}

/// A YAML node that knows its file, so that every mistake is reported with file, line and expectation.
struct YAMLNode {
    let file: String
    let node: Node
    /// What the node is called, such as `events[0].when`.
    let name: String

    /// The root of a document.
    static func document(_ text: String, file: String) throws(FileProblem) -> YAMLNode {
        do {
            guard let node = try Yams.compose(yaml: text) else {
                throw FileProblem(file: file, line: 1, message: "the file is empty; expected a mapping")
            }
            return YAMLNode(file: file, node: node, name: "the file")
        } catch let problem as FileProblem {
            throw problem
        } catch let error as YamlError {
            throw problem(of: error, file: file)
        } catch {
            throw FileProblem(file: file, line: 1, message: "not YAML: \(error)")
        }
    }

    private static func problem(of error: YamlError, file: String) -> FileProblem {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            FileProblem(file: file, line: mark.line, message: "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            FileProblem(
                file: file, line: context.mark.line,
                message: "the key \(duplicates.joined(separator: ", ")) is given twice; expected once")
        default:
            FileProblem(file: file, line: 1, message: "not YAML: \(error)")
        }
    }

    var line: Int { node.mark?.line ?? 1 }

    func problem(_ message: String) -> FileProblem { FileProblem(file: file, line: line, message: message) }

    func expected(_ what: String) -> FileProblem {
        problem("\(name) is \(kind); expected \(what)")
    }

    /// What the node is, for messages.
    private var kind: String {
        switch node {
        case .scalar(let scalar): scalar.string.isEmpty ? "empty" : "\"\(scalar.string)\""
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }

    func text(_ what: String = "a text") throws(FileProblem) -> String {
        guard case .scalar(let scalar) = node, !scalar.string.isEmpty else { throw expected(what) }
        return scalar.string
    }

    func bool() throws(FileProblem) -> Bool {
        guard case .scalar(let scalar) = node, scalar.string == "true" || scalar.string == "false" else {
            throw expected("true or false")
        }
        return scalar.string == "true"
    }

    func list(_ what: String = "a list") throws(FileProblem) -> [YAMLNode] {
        guard case .sequence(let sequence) = node else { throw expected(what) }
        return sequence.enumerated().map { index, node in
            YAMLNode(file: file, node: node, name: "\(name)[\(index)]")
        }
    }

    /// One text, or a list of them.
    func texts() throws(FileProblem) -> [String] {
        guard case .sequence = node else { return [try text("a text or a list of texts")] }
        var result: [String] = []
        for element in try list() { result.append(try element.text()) }
        return result
    }

    /// The members of a mapping in the order they are written.
    func members(_ what: String = "a mapping") throws(FileProblem) -> [(key: String, value: YAMLNode)] {
        guard case .mapping(let mapping) = node else { throw expected(what) }
        var members: [(key: String, value: YAMLNode)] = []
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key else {
                throw YAMLNode(file: file, node: key, name: "a key of \(name)").expected("a text")
            }
            members.append((scalar.string, child(value, scalar.string)))
        }
        return members
    }

    /// The members of a mapping that may have these keys and no others.
    func object(
        required: [String] = [], optional: [String] = [], _ what: String = "a mapping"
    ) throws(FileProblem) -> [String: YAMLNode] {
        var object: [String: YAMLNode] = [:]
        let known = required + optional
        for (key, value) in try members(what) {
            guard known.contains(key) else {
                throw value.problem(
                    "\(name) has no key \"\(key)\"; expected one of \(known.joined(separator: ", "))")
            }
            object[key] = value
        }
        for key in required where object[key] == nil {
            throw problem("\(name) lacks \"\(key)\"; expected \(required.joined(separator: ", "))")
        }
        return object
    }

    private func child(_ node: Node, _ key: String) -> YAMLNode {
        YAMLNode(file: file, node: node, name: name == "the file" ? key : "\(name).\(key)")
    }
}

extension YAMLNode {
    /// The node as JSON: plain scalars by YAML's core schema, quoted and block ones as texts.
    func json() throws(FileProblem) -> JSON {
        switch node {
        case .scalar(let scalar):
            guard scalar.style == .plain else { return .string(scalar.string) }
            switch scalar.string {
            case "", "null", "~": return .null
            case "true": return .bool(true)
            case "false": return .bool(false)
            default:
                if let integer = Int64(scalar.string) { return .integer(integer) }
                if let number = Double(scalar.string), number.isFinite { return .double(number) }
                return .string(scalar.string)
            }
        case .sequence:
            var elements: [JSON] = []
            for element in try list() { elements.append(try element.json()) }
            return .array(elements)
        case .mapping:
            var object: [String: JSON] = [:]
            for (key, value) in try members() { object[key] = try value.json() }
            return .object(object)
        case .alias:
            throw expected("no alias")
        }
    }
}
