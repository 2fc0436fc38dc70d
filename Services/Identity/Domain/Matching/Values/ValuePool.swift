/// The distinct values of one column, or of several that may be swapped, each known by a number from here on.
struct ValuePool: Sendable {
    let comparator: Comparator
    private(set) var symbols: [UInt8] = []
    private(set) var entries: [Entry] = []

    /// A value, as it lies in memory.
    struct Entry: Sendable {
        /// What shows of it at first sight.
        var glance: UInt64
        /// What the comparator wants to know besides: where an e-mail address has its @.
        var detail: UInt64
        var start: UInt32
        var length: UInt32
    }

    private var numbers: [String: Int32] = [:]
    private var raw: [String: Int32] = [:]
    /// What the texts that are keys take beside the tables.
    private var keyBytes = 0

    /// About how many bytes it takes.
    var bytes: Int {
        Footprint.of(symbols) + Footprint.of(entries) + Footprint.of(numbers) + Footprint.of(raw) + keyBytes
    }

    init(_ comparator: Comparator) { self.comparator = comparator }

    var count: Int { entries.count }

    /// The number of a value, a new one if it wasn't seen before; -1 when nothing is known.
    mutating func number(of text: String, reading: DateOrder) -> Int32 {
        if let known = raw[text] { return known }
        let number = intern(text, reading)
        // Endless texts would be endless keys.
        if text.utf8.count <= 256 {
            raw[text] = number
            keyBytes += Footprint.outside(text)
        }
        return number
    }

    private mutating func intern(_ text: String, _ reading: DateOrder) -> Int32 {
        guard let value = comparator.parse(text, reading) else { return -1 }
        if let known = numbers[value.key] { return known }
        let number = put(value)
        numbers[value.key] = number
        keyBytes += Footprint.outside(value.key)
        return number
    }

    /// The number of a value that is only looked up: if it isn't known it gets one until `unstage`.
    mutating func stage(_ text: String, reading: DateOrder) -> Int32 {
        guard let value = comparator.parse(text, reading) else { return -1 }
        if let known = numbers[value.key] { return known }
        return put(value)
    }

    /// Forgets what was staged since there were so many values.
    mutating func unstage(to count: Int) {
        guard count < entries.count else { return }
        symbols.removeLast(symbols.count - Int(entries[count].start))
        entries.removeLast(entries.count - count)
    }

    private mutating func put(_ value: ParsedValue) -> Int32 {
        let entry = Entry(
            glance: value.glance, detail: value.detail,
            start: UInt32(symbols.count), length: UInt32(value.symbols.count))
        symbols.append(contentsOf: value.symbols)
        entries.append(entry)
        return Int32(entries.count - 1)
    }

    /// What stands for the value in an explanation.
    func text(_ number: Int32) -> String {
        MatchText.text(symbols[Int(entries[Int(number)].start)...].prefix(Int(entries[Int(number)].length)))
    }
}

/// What a comparator makes of a text.
struct ParsedValue {
    var symbols: [UInt8]
    /// Equal for values that are the same.
    var key: String
    /// What shows of it at first sight.
    var glance: UInt64
    var detail: UInt64 = 0
}

/// In which order a column writes the day and the month where a number could be either.
enum DateOrder: Sendable { case dayFirst, monthFirst }
