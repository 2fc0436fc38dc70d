package import Models

/// A way into an event's properties or a trait's value: `category`, `address.city`, `products[].sku`, `products.0.sku`.
///
/// `[]` means every element of a list. Of a list only the first `RuleLimits.listElements` are looked at.
package struct PropertyPath: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        case member(String)
        case eachElement
    }

    package let text: String
    package let steps: [Step]

    package init(_ field: RuleField) throws(RuleProblem) {
        let expected = "a property such as category, address.city or products[].sku"
        text = try field.text(expected)
        var steps: [Step] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            var name = part
            let isList = name.hasSuffix("[]")
            if isList { name = name.dropLast(2) }
            guard !name.isEmpty, !name.hasSuffix("[]") else { throw field.problem(expected) }
            steps.append(.member(String(name)))
            if isList { steps.append(.eachElement) }
        }
        guard steps.count <= 20, steps.filter({ $0 == .eachElement }).count <= 2 else {
            throw field.problem("\(expected), at most 20 steps deep and with at most two []")
        }
        self.steps = steps
    }

    /// The way to a trait as a whole.
    init(ofTrait name: String) { (text, steps) = (name, [.member(name)]) }

    /// The values there, without nulls.
    package func values(in properties: [String: JSON]) -> [JSON] {
        guard case .member(let name)? = steps.first, let value = properties[name] else { return [] }
        return Self.values(of: value, steps.dropFirst())
    }

    /// The values below a value that the first step has already led to.
    package func values(below value: JSON) -> [JSON] {
        Self.values(of: value, steps.dropFirst())
    }

    /// A value that the first step has led to, with nothing in it but what the path goes on to: it is of the same kind, and
    /// the values below it are the same. `leaf` is what is left of each of these.
    package func part(of value: JSON, leaf: (JSON) -> JSON) -> JSON {
        Self.part(of: value, steps.dropFirst(), leaf)
    }

    /// The first step's name.
    package var root: String {
        guard case .member(let name)? = steps.first else { return "" }
        return name
    }

    private static func part(of value: JSON, _ steps: ArraySlice<Step>, _ leaf: (JSON) -> JSON) -> JSON {
        guard let step = steps.first else { return leaf(value) }
        let rest = steps.dropFirst()
        switch (step, value) {
        case (.member(let name), .object(let members)):
            return .object(members[name].map { [name: part(of: $0, rest, leaf)] } ?? [:])
        case (.member(let name), .array(let elements)):
            guard let index = Int(name), elements.indices.contains(index) else { return [] }
            return .array(
                Array(repeating: .null, count: index) + [part(of: elements[index], rest, leaf)])
        case (.eachElement, .array(let elements)):
            return .array(elements.prefix(RuleLimits.listElements).map { part(of: $0, rest, leaf) })
        case (.eachElement, .object): return [:]
        default: return value
        }
    }

    private static func values(of value: JSON, _ steps: ArraySlice<Step>) -> [JSON] {
        guard let step = steps.first else { return value.isNull ? [] : [value] }
        let rest = steps.dropFirst()
        switch step {
        case .eachElement:
            guard let array = value.array else { return [] }
            return array.prefix(RuleLimits.listElements).flatMap { values(of: $0, rest) }
        case .member(let name):
            if let object = value.object { return object[name].map { values(of: $0, rest) } ?? [] }
            guard let array = value.array, let index = Int(name), array.indices.contains(index) else {
                return []
            }
            return values(of: array[index], rest)
        }
    }
}
