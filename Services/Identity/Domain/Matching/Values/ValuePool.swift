/// The distinct values of one column, or of several that may be swapped, each known by a number from here on.
struct ValuePool: Sendable {
    let comparator: Comparator
    private(set) var symbols: [UInt8] = []
    private(set) var starts: [Int32] = [0]
    /// The set of the symbols of each value, as bits.
    private(set) var signatures: [UInt64] = []
    /// What the comparator wants to know of each value besides: the parts of a date, where an e-mail address has its @.
    private(set) var details: [UInt64] = []
    private var numbers: [String: Int32] = [:]
    private var raw: [String: Int32] = [:]

    init(_ comparator: Comparator) { self.comparator = comparator }

    var count: Int { signatures.count }

    /// The number of a value, a new one if it wasn't seen before; -1 when nothing is known.
    mutating func number(of text: String, reading: DateOrder) -> Int32 {
        if let known = raw[text] { return known }
        let number = intern(text, reading)
        // Endless texts would be endless keys.
        if text.utf8.count <= 256 { raw[text] = number }
        return number
    }

    private mutating func intern(_ text: String, _ reading: DateOrder) -> Int32 {
        guard let value = comparator.parse(text, reading) else { return -1 }
        if let known = numbers[value.key] { return known }
        let number = Int32(count)
        numbers[value.key] = number
        symbols.append(contentsOf: value.symbols)
        starts.append(Int32(symbols.count))
        signatures.append(value.symbols.reduce(0) { $0 | 1 << UInt64($1 & 63) })
        details.append(value.detail)
        return number
    }

    @inline(__always)
    func length(_ number: Int32) -> Int { Int(starts[Int(number) + 1] - starts[Int(number)]) }

    @inline(__always)
    func range(_ number: Int32) -> Range<Int> { Int(starts[Int(number)])..<Int(starts[Int(number) + 1]) }

    /// What stands for the value in an explanation.
    func text(_ number: Int32) -> String { MatchText.text(symbols[range(number)]) }
}

/// What a comparator makes of a text.
struct ParsedValue {
    var symbols: [UInt8]
    /// Equal for values that are the same.
    var key: String
    var detail: UInt64 = 0
}

/// In which order a column writes the day and the month where a number could be either.
enum DateOrder: Sendable { case dayFirst, monthFirst }
