/// A table while pairs of its records are compared by the million: the same values without counting references.
struct TableView {
    let width: Int
    let numbers: UnsafePointer<Int32>
    /// What shows of each value at first sight, record by record like the numbers.
    let glances: UnsafePointer<UInt64>
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
    let entries: UnsafePointer<ValuePool.Entry>

    @inline(__always)
    func length(_ number: Int32) -> Int { Int(entries[Int(number)].length) }

    @inline(__always)
    func detail(_ number: Int32) -> UInt64 { entries[Int(number)].detail }

    @inline(__always)
    func glance(_ number: Int32) -> UInt64 { entries[Int(number)].glance }

    /// How many symbols stand in one of the values alone.
    @inline(__always)
    func apart(_ a: Int32, _ b: Int32) -> Int { Glance.apart(glance(a), glance(b)) }

    @inline(__always)
    func text(_ number: Int32) -> Symbols {
        let entry = entries[Int(number)]
        return Symbols(start: symbols + Int(entry.start), count: Int(entry.length))
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
            return withRows { numbers, glances in
                views.withUnsafeBufferPointer { pools in
                    rarities.withUnsafeBufferPointer { rarities in
                        guard let pools = pools.baseAddress, let rarities = rarities.baseAddress else {
                            preconditionFailure("a table has a column")
                        }
                        return body(
                            TableView(
                                width: width, numbers: numbers, glances: glances, pools: pools,
                                rarity: rarities))
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

extension MatchTable {
    private func withRows<Result>(
        _ body: (UnsafePointer<Int32>, UnsafePointer<UInt64>) -> Result
    ) -> Result {
        numbers.withUnsafeBufferPointer { numbers in
            glances.withUnsafeBufferPointer { glances in
                guard let numbers = numbers.baseAddress, let glances = glances.baseAddress else {
                    preconditionFailure("an array has an address")
                }
                return body(numbers, glances)
            }
        }
    }
}

extension ValuePool {
    func withView<Result>(_ body: (PoolView) -> Result) -> Result {
        symbols.withUnsafeBufferPointer { symbols in
            entries.withUnsafeBufferPointer { entries in
                guard let symbols = symbols.baseAddress, let entries = entries.baseAddress else {
                    preconditionFailure("an array has an address")
                }
                return body(PoolView(comparator: comparator, symbols: symbols, entries: entries))
            }
        }
    }
}

extension Symbols {
    /// A part of the text.
    @inline(__always)
    func part(_ range: Range<Int>) -> Symbols { Symbols(rebasing: self[range]) }
}
