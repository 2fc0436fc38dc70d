import Glibc

/// A test of one column. Of a group of rows it holds when it holds for every row.
struct Condition: Sendable {
    let column: Int
    let test: Test

    enum Test: Sendable {
        case empty(Bool)
        case oneOf(Set<String>)
        /// Shell patterns: `*`, `?`, `[0-9]`; one of them must fit the whole text.
        case like([String])
        case lessThan(ExactDecimal)
        case moreThan(ExactDecimal)
        case equals(ExactDecimal)
        indirect case not(Test)
    }

    func holds(_ row: Row) -> Bool { Self.holds(test, row.values[column]) }

    private static func holds(_ test: Test, _ value: ColumnValue) -> Bool {
        switch test {
        case .empty(let wanted): (value == .null) == wanted
        case .oneOf(let texts): texts.contains(value.text)
        case .like(let patterns): patterns.contains { fnmatch($0, value.text, 0) == 0 }
        case .lessThan(let bound): value.number.map { $0 < bound } ?? false
        case .moreThan(let bound): value.number.map { bound < $0 } ?? false
        case .equals(let number): value.number.map { $0 == number } ?? false
        case .not(let inner): !holds(inner, value)
        }
    }
}

/// A row of the file with every field read.
struct Row: Sendable {
    /// The line it starts on.
    let line: Int
    let values: [ColumnValue]
}

extension [Condition] {
    /// Whether every condition holds for every row.
    func hold(_ rows: [Row]) -> Bool { allSatisfy { condition in rows.allSatisfy(condition.holds) } }
}
