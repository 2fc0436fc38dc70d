import Models

extension JSON {
    /// Equality as JSON Schema has it: numbers by value, strings by code points (`==` of Swift takes `é` written
    /// as one or as two code points for the same).
    func isSame(as other: JSON) -> Bool {
        switch (self, other) {
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.isSame(as: $1) }
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { key, value in
                    guard let index = right.index(forKey: key) else { return false }
                    return right[index].key.utf8.elementsEqual(key.utf8)
                        && value.isSame(as: right[index].value)
                }
        default: self == other
        }
    }

    /// About how many steps it takes to look at the whole value.
    var weight: Int {
        switch self {
        case .null, .bool, .integer, .double: 1
        case .string(let text): 1 + text.utf8.count / 16
        case .array(let elements): elements.reduce(1) { $0 + $1.weight }
        case .object(let members): members.reduce(1) { $0 + 1 + $1.key.utf8.count / 16 + $1.value.weight }
        }
    }
}
