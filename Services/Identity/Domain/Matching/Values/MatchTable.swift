/// Records with their values as numbers: what all comparing works on.
package struct MatchTable: Sendable {
    package let schema: MatchSchema
    private(set) var pools: [ValuePool]
    /// Which pool the values of each column are in; columns that may be swapped share one.
    let poolOfColumn: [Int]
    private let orders: [DateOrder]
    /// The numbers of the values, record by record; -1 where nothing is known.
    private(set) var numbers: [Int32] = []
    /// What shows of each value at first sight, record by record.
    private(set) var glances: [UInt64] = []
    /// How many records have each value, by column and number.
    private(set) var counts: [[Int32]]
    /// How many records have any value, by column.
    private(set) var known: [Int]
    /// How rare each value is: minus the logarithm of its share in bits, by column and number.
    private(set) var rarity: [[Float]] = []
    /// What was learned to be added to it, by column and whole bits of it.
    private var corrections: [[Float]] = []
    package private(set) var count = 0

    var width: Int { schema.fields.count }

    /// About how many bytes it takes.
    var bytes: Int {
        let columns = counts.reduce(0) { $0 + Footprint.of($1) } + rarity.reduce(0) { $0 + Footprint.of($1) }
        return columns + pools.reduce(0) { $0 + $1.bytes } + Footprint.of(numbers) + Footprint.of(glances)
    }

    /// A table of the columns, which are of the same length.
    package init(_ schema: MatchSchema, columns: [[String?]], workers: MatchWorkers = .alone) {
        self.schema = schema
        var pools: [ValuePool] = []
        var poolOfColumn: [Int] = []
        var poolOfFamily: [Int: Int] = [:]
        for field in schema.fields {
            if let family = field.family, let shared = poolOfFamily[family] {
                poolOfColumn.append(shared)
                continue
            }
            field.family.map { poolOfFamily[$0] = pools.count }
            poolOfColumn.append(pools.count)
            pools.append(ValuePool(field.comparator))
        }
        self.poolOfColumn = poolOfColumn
        orders = zip(schema.fields, columns).map { field, column in
            field.comparator == .date ? CalendarDate.order(of: column) : .dayFirst
        }
        count = columns.first?.count ?? 0
        let (empty, dates, poolOf) = (pools, orders, poolOfColumn)
        // The pool with most work first, so that no worker is left alone with it at the end.
        let order = Self.byWork(columns, pools.indices, poolOf)
        let found = workers.map(pools.count) { place in
            Self.read(
                columns, of: poolOf.indices.filter { poolOf[$0] == order[place] }, dates,
                into: empty[order[place]])
        }
        let read = zip(order, found).sorted { $0.0 < $1.0 }.map(\.1)
        self.pools = read.map(\.pool)
        var byColumn: [[Int32]] = Array(repeating: [], count: schema.fields.count)
        for each in read { for (column, numbers) in each.columns { byColumn[column] = numbers } }
        (counts, known) = Self.counted(byColumn, pools: self.pools, poolOfColumn)
        numbers = Self.rows(byColumn, count: count)
        glances = Self.glances(byColumn, pools: self.pools, poolOfColumn, count: count)
        rarity = zip(counts, known).map { counts, known in counts.map { Self.rarity($0, of: known) } }
    }

    /// Takes in what was learned of how often values of each rarity are equal by coincidence.
    mutating func correct(_ corrections: [[Float]]) {
        self.corrections = corrections
        for column in rarity.indices {
            for number in rarity[column].indices { rarity[column][number] = corrected(column, number) }
        }
    }

    private func corrected(_ column: Int, _ number: Int) -> Float {
        let bits = Self.rarity(counts[column][number], of: known[column])
        return corrections.isEmpty
            ? bits : bits + corrections[column][min(MatchWeights.rarities - 1, Int(bits))]
    }

    private static func rarity(_ count: Int32, of known: Int) -> Float {
        count <= 0 ? 0 : Float(-Logarithm.base2(Double(count) / Double(max(known, 1))))
    }

    /// The pools in the order of the work that their values seem to be, by the different ones among the first.
    private static func byWork(_ columns: [[String?]], _ pools: Range<Int>, _ poolOfColumn: [Int]) -> [Int] {
        var work = pools.map { _ in 0 }
        for (column, texts) in columns.enumerated() {
            var seen: Set<String> = []
            for case let text? in texts.prefix(2_000) {
                // Each is looked up; a new one is read and kept as well.
                work[poolOfColumn[column]] += seen.insert(text).inserted ? 100 + 8 * text.utf8.count : 10
            }
        }
        return pools.sorted { work[$0] == work[$1] ? $0 < $1 : work[$0] > work[$1] }
    }

    /// The numbers of the values of some columns that share a pool.
    private static func read(
        _ columns: [[String?]], of which: [Int], _ orders: [DateOrder], into pool: ValuePool
    ) -> (pool: ValuePool, columns: [(Int, [Int32])]) {
        var pool = pool
        let read = which.map { column in
            (
                column,
                columns[column].map { text in text.map { pool.number(of: $0, reading: orders[column]) } ?? -1
                }
            )
        }
        return (pool, read)
    }

    private static func counted(
        _ columns: [[Int32]], pools: [ValuePool], _ poolOfColumn: [Int]
    ) -> ([[Int32]], [Int]) {
        var counts: [[Int32]] = []
        for (column, numbers) in columns.enumerated() {
            var count = [Int32](repeating: 0, count: pools[poolOfColumn[column]].count)
            for number in numbers where number >= 0 { count[Int(number)] += 1 }
            counts.append(count)
        }
        return (counts, counts.map { $0.reduce(0) { $0 + Int($1) } })
    }

    private static func rows(_ columns: [[Int32]], count: Int) -> [Int32] {
        let width = columns.count
        return [Int32](unsafeUninitializedCapacity: count * width) { rows, initialised in
            for (column, numbers) in columns.enumerated() {
                for index in 0..<count { rows[index * width + column] = numbers[index] }
            }
            initialised = count * width
        }
    }

    private static func glances(
        _ columns: [[Int32]], pools: [ValuePool], _ poolOfColumn: [Int], count: Int
    ) -> [UInt64] {
        let width = columns.count
        return [UInt64](unsafeUninitializedCapacity: count * width) { rows, initialised in
            for (column, numbers) in columns.enumerated() {
                pools[poolOfColumn[column]].withView { view in
                    for index in 0..<count {
                        let number = numbers[index]
                        rows[index * width + column] = number < 0 ? 0 : view.glance(number)
                    }
                }
            }
            initialised = count * width
        }
    }

    @inline(__always)
    func number(_ record: Int, _ column: Int) -> Int32 { numbers[record * width + column] }

    /// The value as it was compared; nil when there is none.
    package func text(_ record: Int, _ column: Int) -> String? {
        let number = number(record, column)
        return number < 0 ? nil : pools[poolOfColumn[column]].text(number)
    }

    /// Adds a record with a value for each column, and returns its place.
    package mutating func append(_ values: [String?]) -> Int {
        for column in 0..<width {
            let pool = poolOfColumn[column]
            let number =
                column < values.count
                ? values[column].map { pools[pool].number(of: $0, reading: orders[column]) } ?? -1 : -1
            numbers.append(number)
            glances.append(number < 0 ? 0 : pools[pool].entries[Int(number)].glance)
            guard number >= 0 else { continue }
            while counts[column].count <= number {
                counts[column].append(0)
                rarity[column].append(0)
            }
            known[column] += 1
            counts[column][Int(number)] += 1
            rarity[column][Int(number)] = corrected(column, Int(number))
        }
        count += 1
        return count - 1
    }

    /// Takes the values of the record at a place away; its place stays empty.
    package mutating func clear(_ record: Int) {
        for column in 0..<width {
            let number = number(record, column)
            guard number >= 0 else { continue }
            counts[column][Int(number)] -= 1
            known[column] -= 1
            rarity[column][Int(number)] = corrected(column, Int(number))
            numbers[record * width + column] = -1
        }
    }

    /// Calls with a record behind all others that is compared with them and leaves no trace.
    mutating func withGuest<Result>(_ values: [String?], _ body: (borrowing MatchTable, Int) -> Result)
        -> Result
    {
        let sizes = pools.map(\.count)
        for column in 0..<width {
            let pool = poolOfColumn[column]
            let text = column < values.count ? values[column] : nil
            let number = text.map { pools[pool].stage($0, reading: orders[column]) } ?? -1
            numbers.append(number)
            glances.append(number < 0 ? 0 : pools[pool].entries[Int(number)].glance)
        }
        let result = body(self, count)
        numbers.removeLast(width)
        glances.removeLast(width)
        for (pool, size) in sizes.enumerated() { pools[pool].unstage(to: size) }
        return result
    }
}
