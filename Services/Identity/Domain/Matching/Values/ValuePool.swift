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

    /// The values by their symbols.
    private var numbers = HashIndex()
    /// Those that their symbols alone do not tell from others.
    private var keyed: [String: Int32] = [:]
    /// The texts that were read before, with what was made of them.
    private var raw = HashIndex()
    private var texts: [(text: String, number: Int32)] = []
    /// How many texts were looked for among those, and not found.
    private var (asked, missed) = (0, 0)
    /// What the texts take beside the tables.
    private var textBytes = 0

    /// About how many bytes it takes.
    var bytes: Int {
        Footprint.of(symbols) + Footprint.of(entries) + numbers.bytes + Footprint.of(keyed) + raw.bytes
            + Footprint.of(texts) + textBytes
    }

    init(_ comparator: Comparator) { self.comparator = comparator }

    var count: Int { entries.count }

    /// Whether texts come again often enough for it to be worth while to remember them.
    private var remembers: Bool { asked < 5_000 || missed < asked / 5 * 4 }

    /// The number of a value, a new one if it wasn't seen before; -1 when nothing is known.
    mutating func number(of text: String, reading: DateOrder) -> Int32 {
        // Endless texts would be endless keys.
        guard remembers, text.utf8.count <= 256 else { return intern(text, reading) }
        let hash = TableHash.of(text)
        asked += 1
        if let known = raw.first(hash, where: { texts[Int($0)].text == text }) {
            return texts[Int(known)].number
        }
        missed += 1
        let number = intern(text, reading)
        raw.insert(hash, Int32(texts.count))
        texts.append((text, number))
        textBytes += Footprint.outside(text)
        return number
    }

    private mutating func intern(_ text: String, _ reading: DateOrder) -> Int32 {
        guard let value = comparator.parse(text, reading) else { return -1 }
        if let key = value.key {
            if let known = keyed[key] { return known }
            let number = put(value)
            keyed[key] = number
            textBytes += Footprint.outside(key)
            return number
        }
        let hash = value.symbols.withUnsafeBufferPointer { TableHash.of($0) }
        if let known = find(value.symbols, hash) { return known }
        let number = put(value)
        numbers.insert(hash, number)
        return number
    }

    private func find(_ wanted: [UInt8], _ hash: UInt64) -> Int32? {
        numbers.first(hash) { number in
            let entry = entries[Int(number)]
            guard Int(entry.length) == wanted.count else { return false }
            let start = Int(entry.start)
            for index in wanted.indices where symbols[start + index] != wanted[index] { return false }
            return true
        }
    }

    /// The number of a value that is only looked up: if it isn't known it gets one until `unstage`.
    mutating func stage(_ text: String, reading: DateOrder) -> Int32 {
        guard let value = comparator.parse(text, reading) else { return -1 }
        let known =
            value.key.map { keyed[$0] }
            ?? find(
                value.symbols, value.symbols.withUnsafeBufferPointer { TableHash.of($0) })
        return known ?? put(value)
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
    /// Tells values of the same symbols apart; nil where values of the same symbols are the same.
    var key: String?
    /// What shows of it at first sight.
    var glance: UInt64
    var detail: UInt64 = 0
}

/// In which order a column writes the day and the month where a number could be either.
enum DateOrder: Sendable { case dayFirst, monthFirst }
