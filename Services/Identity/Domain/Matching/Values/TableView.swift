/// A table while pairs of its records are compared by the million: the same values without counting references.
struct TableView {
    let width: Int
    let numbers: UnsafePointer<Int32>
    /// By column.
    let pools: UnsafePointer<PoolView>
    /// How rare each value is, by column and number.
    let rarity: UnsafePointer<UnsafePointer<Float>>
}

/// The symbols of a value.
typealias Symbols = UnsafeBufferPointer<UInt8>

/// A pool while its values are compared.
struct PoolView {
    let comparator: Comparator
    let symbols: UnsafePointer<UInt8>
    let starts: UnsafePointer<Int32>
    let signatures: UnsafePointer<UInt64>
    let details: UnsafePointer<UInt64>

    @inline(__always)
    func length(_ number: Int32) -> Int { Int(starts[Int(number) + 1] - starts[Int(number)]) }

    @inline(__always)
    func text(_ number: Int32) -> Symbols {
        Symbols(start: symbols + Int(starts[Int(number)]), count: length(number))
    }
}

extension MatchTable {
    /// Calls with a view of the table, which must not outlive the call.
    func withView<Result>(_ body: (TableView) -> Result) -> Result {
        var views: [PoolView] = []
        var rarities: [UnsafePointer<Float>] = []
        return withColumn(0, &views, &rarities, body)
    }

    private func withColumn<Result>(
        _ column: Int, _ views: inout [PoolView], _ rarities: inout [UnsafePointer<Float>],
        _ body: (TableView) -> Result
    ) -> Result {
        guard column < width else {
            return numbers.withUnsafeBufferPointer { numbers in
                views.withUnsafeBufferPointer { pools in
                    rarities.withUnsafeBufferPointer { rarities in
                        guard let numbers = numbers.baseAddress, let pools = pools.baseAddress,
                            let rarities = rarities.baseAddress
                        else { preconditionFailure("a table has a column and room for a record") }
                        return body(TableView(width: width, numbers: numbers, pools: pools, rarity: rarities))
                    }
                }
            }
        }
        return pools[poolOfColumn[column]].withView { view in
            rarity[column].withUnsafeBufferPointer { bits in
                guard let base = bits.baseAddress else { preconditionFailure("an array has an address") }
                views.append(view)
                rarities.append(base)
                return withColumn(column + 1, &views, &rarities, body)
            }
        }
    }
}

extension ValuePool {
    func withView<Result>(_ body: (PoolView) -> Result) -> Result {
        symbols.withUnsafeBufferPointer { symbols in
            starts.withUnsafeBufferPointer { starts in
                signatures.withUnsafeBufferPointer { signatures in
                    details.withUnsafeBufferPointer { details in
                        guard let symbols = symbols.baseAddress, let starts = starts.baseAddress,
                            let signatures = signatures.baseAddress, let details = details.baseAddress
                        else { preconditionFailure("an array has an address") }
                        return body(
                            PoolView(
                                comparator: comparator, symbols: symbols, starts: starts, signatures: signatures,
                                details: details))
                    }
                }
            }
        }
    }
}

extension Symbols {
    /// A part of the text.
    @inline(__always)
    func part(_ range: Range<Int>) -> Symbols { Symbols(rebasing: self[range]) }
}
