package import Models

/// A way into a JSON value: `customer.id`, `line_items.0.sku`, `line_items[0].sku`, `mergedObjectIds[]` for each
/// element, and `.` for the value itself.
package struct MappingPath: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        /// A member; of an array the element with this number.
        case member(String)
        /// Each element of an array.
        case each
    }

    package let steps: [Step]
    package let text: String

    init(steps: [Step], text: String) {
        self.steps = steps
        self.text = text
    }

    /// Nil where the text is no path.
    package init?(_ text: String) {
        self.text = text
        guard text != "." else {
            steps = []
            return
        }
        var steps: [Step] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            let name = part.prefix { $0 != "[" }
            var rest = part[name.endIndex...]
            guard !name.isEmpty else { return nil }
            steps.append(.member(String(name)))
            while !rest.isEmpty {
                guard rest.first == "[", let close = rest.firstIndex(of: "]") else { return nil }
                let index = rest[rest.index(after: rest.startIndex)..<close]
                guard index.allSatisfy({ $0.isASCII && $0.isNumber }), index.count <= 6 else { return nil }
                steps.append(index.isEmpty ? .each : .member(String(index)))
                rest = rest[rest.index(after: close)...]
            }
        }
        guard steps.count <= 32 else { return nil }
        self.steps = steps
    }

    /// Whether it leads to several values.
    package var isList: Bool { steps.contains(.each) }

    /// The values at the end of the way, none of them null.
    package func values(in json: JSON) -> [JSON] {
        var found = [json]
        for step in steps {
            switch step {
            case .each: found = found.flatMap { $0.array ?? [] }
            case .member(let name):
                found = found.compactMap { value in
                    switch value {
                    case .object(let members): return members[name]
                    case .array(let elements):
                        guard let index = Int(name), elements.indices.contains(index) else { return nil }
                        return elements[index]
                    default: return nil
                    }
                }
            }
        }
        return found.filter { !$0.isNull }
    }

    /// What the path means as one value: an array where it leads to several, nil where there is nothing.
    package func value(in json: JSON) -> JSON? {
        let values = values(in: json)
        return isList ? (values.isEmpty ? nil : .array(values)) : values.first
    }
}
