import Models

/// The different values that a property path led to, each with a number, so that a column holds numbers alone and
/// whatever a rule asks of a value is asked once.
///
/// Number 0 is that nothing is there. Values are told apart exactly, `5` from `5.0` and one way to encode an é from
/// another, because what is asked of them may tell them apart too.
struct ValueDictionary: Sendable {
    /// What the path led to: several values below `products[].sku`.
    private(set) var values: [[JSON]] = []
    /// What a sum adds: the exact total of the numbers, in millionths.
    private(set) var totals: ContiguousArray<Int64> = []
    /// Of how many numbers that is.
    private(set) var numbers: ContiguousArray<Int64> = []
    /// The smallest and the greatest number, `Int64.max` and `Int64.min` where there is none.
    private(set) var least: ContiguousArray<Int64> = []
    private(set) var greatest: ContiguousArray<Int64> = []
    /// Where the groups of each begin among `groups`, and where the last end.
    private(set) var groupStarts: ContiguousArray<Int> = [0]
    /// The numbers of the texts by which a count or a distinct keeps values apart.
    private(set) var groups: ContiguousArray<UInt32> = []
    /// The most groups that one of them has.
    private(set) var mostGroups = 0

    private var numbering: [ExactValues: UInt32] = [:]
    private var groupNumbering: [String: UInt32] = [:]

    init() { _ = add([]) }

    var count: Int { values.count }
    /// How many different groups there are.
    private(set) var groupCount = 0

    /// The number of what a path led to.
    mutating func number(of values: [JSON]) -> UInt32 {
        if values.isEmpty { return 0 }
        let exact = ExactValues(values)
        if let known = numbering[exact] { return known }
        let number = add(values)
        numbering[exact] = number
        return number
    }

    /// The groups of a value.
    func groups(of number: UInt32) -> ContiguousArray<UInt32>.SubSequence {
        let number = Int(number)
        return groups[groupStarts[number]..<groupStarts[number + 1]]
    }

    /// The same without what only finding numbers takes.
    func sealed() -> ValueDictionary {
        var sealed = self
        sealed.numbering = [:]
        sealed.groupNumbering = [:]
        return sealed
    }

    private mutating func add(_ values: [JSON]) -> UInt32 {
        self.values.append(values)
        let amounts = values.compactMap { Amount($0) }
        let total = amounts.reduce(into: Int128(0)) { $0 += Int128($1.millionths) }
        totals.append(Amount(millionths: Int64(clamping: total)).millionths)
        numbers.append(Int64(amounts.count))
        least.append(amounts.min()?.millionths ?? .max)
        greatest.append(amounts.max()?.millionths ?? .min)
        let texts = PropertyPath.groups(of: values)
        for text in texts {
            let number = groupNumbering[text] ?? UInt32(groupNumbering.count)
            groupNumbering[text] = number
            groups.append(number)
        }
        groupCount = groupNumbering.count
        groupStarts.append(groups.count)
        mostGroups = max(mostGroups, texts.count)
        return UInt32(self.values.count - 1)
    }
}

/// Text that is equal only byte by byte.
struct ExactText: Hashable, Sendable {
    let text: String

    static func == (left: ExactText, right: ExactText) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// Values that are equal only if they are written the same.
private enum ExactValues: Hashable, Sendable {
    case text(ExactText)
    case integer(Int64)
    case bytes([UInt8])

    init(_ values: [JSON]) {
        switch values.count == 1 ? values[0] : .null {
        case .string(let text): self = .text(ExactText(text: text))
        case .integer(let value): self = .integer(value)
        default:
            var bytes: [UInt8] = []
            for value in values { Self.write(value, to: &bytes) }
            self = .bytes(bytes)
        }
    }

    private static func write(_ value: JSON, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes.append(0)
        case .bool(let flag): bytes.append(flag ? 2 : 1)
        case .integer(let value): write(3, UInt64(bitPattern: value), to: &bytes)
        case .double(let value): write(4, value.bitPattern, to: &bytes)
        case .string(let text): write(text, to: &bytes)
        case .array(let elements):
            write(6, UInt64(elements.count), to: &bytes)
            for element in elements { write(element, to: &bytes) }
        case .object(let members):
            write(7, UInt64(members.count), to: &bytes)
            for (key, value) in members.sorted(by: { $0.key.precedesInUTF8($1.key) }) {
                write(key, to: &bytes)
                write(value, to: &bytes)
            }
        }
    }

    private static func write(_ text: String, to bytes: inout [UInt8]) {
        write(5, UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func write(_ tag: UInt8, _ word: UInt64, to bytes: inout [UInt8]) {
        bytes.append(tag)
        withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
