extension LiquidValue {
    /// `==`, as Liquid has it: 1 equals 1.0, text equals text, `empty` and `blank` stand for whole families.
    func isEqual(_ other: LiquidValue) -> Bool {
        switch (self, other) {
        case (.empty, .empty), (.blank, .blank): true
        case (.empty, _): other.isEmpty
        case (_, .empty): isEmpty
        case (.blank, _): other.isBlank
        case (_, .blank): isBlank
        case (.integer(let left), .double(let right)): Double(left) == right
        case (.double(let left), .integer(let right)): left == Double(right)
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.isEqual($1) }
        default:
            if let left = string, let right = other.string { left == right } else { self == other }
        }
    }

    private var isEmpty: Bool {
        switch self {
        case .string(let text), .markup(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        default: false
        }
    }

    private var isBlank: Bool {
        switch self {
        case .null, .bool(false): true
        case .string(let text), .markup(let text): text.utf8.allSatisfy(\.isLiquidSpace)
        default: isEmpty
        }
    }

    /// `contains`: a text in a text, an item in a list, a name in an object; nothing contains `nil` or `false`.
    func contains(_ other: LiquidValue) -> Bool {
        guard other.isTrue else { return false }
        switch self {
        case .string(let text), .markup(let text): return text.liquidContains(other.text)
        case .array(let values): return values.contains { $0.isEqual(other) }
        case .object(let members): return other.string.map { members[$0] != nil } ?? false
        case .range(let lower, let upper):
            if case .integer(let number) = other { return lower <= number && number <= upper }
            return false
        default: return false
        }
    }

    /// Which of two values comes first; nil when one of them has no place in any order.
    func compare(_ other: LiquidValue) throws(LiquidProblem) -> LiquidOrder? {
        switch (self, other) {
        case (.null, _), (_, .null), (.empty, _), (_, .empty), (.blank, _), (_, .blank): return nil
        case (.integer(let left), .integer(let right)): return LiquidOrder(left, right)
        case (.integer(let left), .double(let right)): return LiquidOrder(Double(left), right)
        case (.double(let left), .integer(let right)): return LiquidOrder(left, Double(right))
        case (.double(let left), .double(let right)): return LiquidOrder(left, right)
        default:
            if let left = string, let right = other.string { return LiquidOrder(left, right) }
            throw LiquidProblem(
                message: "\(kind) and \(other.kind) can't be compared", expected: "two numbers or two texts")
        }
    }

    var kind: String {
        switch self {
        case .null: "nil"
        case .bool: "a truth value"
        case .integer, .double: "a number"
        case .string, .markup: "a text"
        case .array: "a list"
        case .object: "an object"
        case .range: "a range"
        case .loop: "forloop"
        case .empty: "empty"
        case .blank: "blank"
        }
    }
}

enum LiquidOrder {
    case before
    case same
    case after

    init<T: Comparable>(_ left: T, _ right: T) {
        self = left < right ? .before : left == right ? .same : .after
    }
}

extension String {
    func liquidContains(_ other: String) -> Bool {
        Array(utf8).firstRange(of: Array(other.utf8), from: 0) != nil
    }
}

extension [UInt8] {
    /// The first place at or after `start` where `other` stands.
    func firstRange(of other: [UInt8], from start: Int) -> Range<Int>? {
        guard let first = other.first else { return start <= count ? start..<start : nil }
        guard count >= other.count else { return nil }
        var index = start
        while index <= count - other.count {
            if self[index] == first, self[index..<index + other.count].elementsEqual(other) {
                return index..<index + other.count
            }
            index += 1
        }
        return nil
    }
}
