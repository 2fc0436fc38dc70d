import Models

/// What a mapping writes once under `define` and uses in several places as `{use: name}`. YAML's own anchors are
/// refused in files that people upload, because they unfold without bound; these don't nest, and are counted.
struct MappingDefinitions {
    /// Values in the whole mapping after everything is put in its place.
    private static let maxValues = 20_000

    private let definitions: [String: JSON]
    private let log: MappingLog
    private var count = 0

    /// The mapping with every use replaced, and without its definitions.
    static func expanded(_ json: JSON, _ log: MappingLog) -> JSON {
        guard case .object(var members) = json else { return json }
        var definitions: [String: JSON] = [:]
        if let written = members.removeValue(forKey: "define") {
            definitions = written.object ?? [:]
            if written.object == nil {
                log.report(written, "define", expected: "an object of names and values")
            }
        }
        var expander = MappingDefinitions(definitions: definitions, log: log)
        for (name, value) in definitions { expander.refuseUses(in: value, "define.\(name)") }
        guard log.mistakes.isEmpty else { return .object(members) }
        return expander.expand(.object(members), "")
    }

    private init(definitions: [String: JSON], log: MappingLog) {
        self.definitions = definitions
        self.log = log
    }

    /// Definitions that used each other could go round in circles.
    private func refuseUses(in json: JSON, _ path: String) {
        switch json {
        case .object(let members):
            for (key, value) in members {
                if key == "use" {
                    log.report(path, expected: "no `use` inside of `define`", found: "`use`")
                } else {
                    refuseUses(in: value, "\(path).\(key)")
                }
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() { refuseUses(in: element, "\(path).\(index)") }
        default: break
        }
    }

    private mutating func expand(_ json: JSON, _ path: String) -> JSON {
        count += 1
        guard count <= Self.maxValues else {
            if count == Self.maxValues + 1 {
                log.report("", expected: "at most \(Self.maxValues) values", found: "more")
            }
            return .null
        }
        switch json {
        case .object(let members):
            if let name = members["use"] {
                guard members.count == 1, let definition = name.string.flatMap({ definitions[$0] }) else {
                    let names = definitions.keys.sorted().map { "`\($0)`" }.joined(separator: ", ")
                    log.report(
                        name, MappingReader.join(path, "use"),
                        expected: names.isEmpty
                            ? "a name under `define`, alone" : "a name under `define`, alone: \(names)")
                    return .null
                }
                return expand(definition, path)
            }
            var result: [String: JSON] = [:]
            for (key, value) in members { result[key] = expand(value, MappingReader.join(path, key)) }
            return .object(result)
        case .array(let elements):
            var result: [JSON] = []
            for (index, element) in elements.enumerated() {
                result.append(expand(element, MappingReader.join(path, String(index))))
            }
            return .array(result)
        default: return json
        }
    }
}
