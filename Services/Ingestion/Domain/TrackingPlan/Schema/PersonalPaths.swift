import Models

/// What a schema says about personal values, wherever it says so: also in alternatives that a value may turn out
/// not to conform to, because what may be personal is treated as such.
extension JSONSchema {
    /// Subschemas of one place of a value.
    struct Applicable {
        /// All that may apply.
        var all: [Int]
        /// Those that do apply: none of them is an alternative, or stands within one.
        var certain: [Int]

        static let none = Applicable(all: [], certain: [])
    }

    /// What applies to the whole value, as far as it concerns something personal.
    var personalRoot: Applicable { expanded(Applicable(all: [0], certain: [0])) }

    /// What applies to a member, of what applies to its object.
    func applicable(_ parents: Applicable, toMember name: String) -> Applicable {
        below(parents) { $0.objects?.member(name) }
    }

    /// What applies to an element, of what applies to its array.
    func applicable(_ parents: Applicable, toElement index: Int) -> Applicable {
        below(parents) { $0.arrays?.element(index) }
    }

    /// What becomes of a value that these apply to; the strictest wins.
    func treatment(_ applicable: Applicable) -> PersonalTreatment? {
        applicable.all.compactMap { nodes[$0].personal }.max()
    }

    /// What becomes of the value at a path, whether it is there or not.
    func treatment(at path: [String], in root: JSON) -> PersonalTreatment? {
        var value: JSON? = root
        var applicable = personalRoot
        for token in path {
            switch value {
            case .object(let members):
                applicable = self.applicable(applicable, toMember: token)
                value = members[token]
            case .array(let elements):
                guard let index = Int(token), elements.indices.contains(index) else { return nil }
                applicable = self.applicable(applicable, toElement: index)
                value = elements[index]
            default: return nil
            }
            if applicable.all.isEmpty { return nil }
        }
        return treatment(applicable)
    }

    private func below(_ parents: Applicable, _ child: (SchemaNode) -> Int?) -> Applicable {
        func children(_ indices: [Int]) -> [Int] { indices.compactMap { child(nodes[$0]) } }
        return expanded(Applicable(all: children(parents.all), certain: children(parents.certain)))
    }

    private func expanded(_ applicable: Applicable) -> Applicable {
        if personalNodes.isEmpty { return .none }
        return Applicable(
            all: expanded(applicable.all) { $0.certain + $0.alternatives },
            certain: expanded(applicable.certain) { $0.certain })
    }

    /// With what applies to the same value; without what leads to nothing personal.
    private func expanded(_ indices: [Int], _ next: (CombinedRules) -> [Int]) -> [Int] {
        var found: [Int] = []
        var seen: Set<Int> = []
        var open = indices
        while let index = open.popLast() {
            guard personalNodes.contains(index), seen.insert(index).inserted else { continue }
            found.append(index)
            if let combined = nodes[index].combined { open += next(combined) }
        }
        return found.sorted()
    }
}
