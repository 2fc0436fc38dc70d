/// A test of one column. Of a group of rows it holds when it holds for every row.
package struct RowCondition: Sendable {
    package let column: Int
    package let test: Test

    package enum Test: Sendable {
        case empty(Bool)
        case oneOf(Set<String>)
        /// One of them must fit.
        case like([Glob])
        case lessThan(ExactDecimal)
        case moreThan(ExactDecimal)
        case equals(ExactDecimal)
        indirect case not(Test)
    }

    package func holds(_ row: ImportRow) -> Bool { Self.holds(test, row.values[column]) }

    private static func holds(_ test: Test, _ value: ColumnValue) -> Bool {
        switch test {
        case .empty(let wanted): (value == .null) == wanted
        case .oneOf(let texts): texts.contains(value.text)
        case .like(let patterns): patterns.contains { $0.matches(value.text) }
        case .lessThan(let bound): value.number.map { $0 < bound } ?? false
        case .moreThan(let bound): value.number.map { bound < $0 } ?? false
        case .equals(let number): value.number.map { $0 == number } ?? false
        case .not(let inner): !holds(inner, value)
        }
    }
}

extension [RowCondition] {
    /// Whether every condition holds for every row.
    package func hold(_ rows: [ImportRow]) -> Bool {
        allSatisfy { condition in rows.allSatisfy(condition.holds) }
    }
}
