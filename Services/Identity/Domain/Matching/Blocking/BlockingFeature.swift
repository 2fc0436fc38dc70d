/// What two records of one person have in common most of the time, each surviving another kind of mistake: how a name
/// sounds, the parts of a date two by two, the halves of a number, the words of an address.
struct BlockingFeature: Sendable {
    enum Part: Sendable {
        case sound, whole, firstHalf, secondHalf, word(Int), local
        case yearMonth, monthDay, yearDay
    }

    let column: Int
    let part: Part
    /// Features of one space are looked up in each other's records: a surname among the given names.
    let space: Int
    /// Features of one group say much the same and are not combined, but for those of one space.
    let group: Int

    static let wordsTaken = 4

    /// The features of a table's columns.
    static func all(_ table: MatchTable) -> [BlockingFeature] {
        var features: [BlockingFeature] = []
        var spaces: [String: Int] = [:]
        for (column, field) in table.schema.fields.enumerated() {
            let pool = table.poolOfColumn[column]
            func add(_ parts: [(Part, String)]) {
                for (part, name) in parts {
                    let space = spaces["\(pool) \(name)", default: spaces.count]
                    spaces["\(pool) \(name)"] = space
                    features.append(BlockingFeature(column: column, part: part, space: space, group: pool))
                }
            }
            switch field.comparator {
            case .name, .place: add([(.sound, "sound")])
            case .words: add((0..<wordsTaken).map { (.word($0), "word") })
            case .date:
                add([(.whole, "whole"), (.yearMonth, "ym"), (.monthDay, "md"), (.yearDay, "yd")])
            case .number: add([(.whole, "whole")])
            case .category: break
            case .phone: add([(.whole, "whole"), (.firstHalf, "first"), (.secondHalf, "second")])
            case .code:
                add(
                    field == .nationalID
                        ? [(.whole, "whole"), (.firstHalf, "first"), (.secondHalf, "second")]
                        : [(.whole, "whole")])
            case .email: add([(.whole, "whole"), (.local, "local")])
            }
        }
        return Array(features.prefix(mostFeatures))
    }

    /// A record's heavy features are bits of one word.
    static let mostFeatures = 32

    /// The feature of a value, hashed; 0 when it has none.
    func hash(_ number: Int32, in pool: PoolView) -> UInt32 {
        let text = pool.text(number)
        let detail = pool.detail(number)
        switch part {
        case .sound: return Self.mixed(UInt64(Phonetics.code(text)))
        case .whole: return Self.mixed(UInt64(UInt32(number)) + 1)
        case .firstHalf: return text.count < 6 ? 0 : Self.hash(text.part(0..<text.count / 2))
        case .secondHalf: return text.count < 6 ? 0 : Self.hash(text.part(text.count / 2..<text.count))
        case .word(let index): return Self.word(index, of: text)
        case .local:
            let local = Int(detail)
            return local < 3 ? 0 : Self.hash(text.part(0..<min(local, text.count)))
        case .yearMonth: return detail == 0 ? 0 : Self.mixed(detail >> 8 & 0xFF_FFFF | 1 << 40)
        case .monthDay: return detail == 0 ? 0 : Self.mixed(detail & 0xFFFF | 1 << 41)
        case .yearDay: return detail == 0 ? 0 : Self.mixed(detail & 0xFFFF_00FF | 1 << 42)
        }
    }

    /// The hash of one of the longest words of a text, numbers and words by their sound alike.
    private static func word(_ index: Int, of text: Symbols) -> UInt32 {
        let cut = WordCut(text)
        var order = (0..<cut.count).map { (cut[$0].count, -$0) }
        order.sort { $0 > $1 }
        guard index < order.count else { return 0 }
        let word = text.part(cut[-order[index].1])
        return MatchText.isDigit(word[0]) ? hash(word) : mixed(UInt64(Phonetics.code(word)))
    }

    private static func hash(_ text: Symbols) -> UInt32 {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in text.indices { state = (state ^ UInt64(text[index])) &* 0x0000_0100_0000_01B3 }
        return mixed(state)
    }

    /// Never 0, but for 0.
    static func mixed(_ value: UInt64) -> UInt32 {
        guard value != 0 else { return 0 }
        var mixed = value &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 32
        mixed &*= 0xD6E8_FEB8_6659_FD93
        mixed ^= mixed >> 32
        return max(1, UInt32(truncatingIfNeeded: mixed))
    }
}

/// The features of all records of a table.
struct FeatureTable: Sendable {
    let features: [BlockingFeature]
    /// Record by record; 0 where there is none.
    let hashes: [UInt32]

    init(_ table: MatchTable, workers: MatchWorkers = .alone) {
        features = BlockingFeature.all(table)
        let (list, width) = (features, features.count)
        let byFeature = workers.map(width) { index in
            let pool = table.pools[table.poolOfColumn[list[index].column]]
            return pool.withView { view in (0..<Int32(pool.count)).map { list[index].hash($0, in: view) } }
        }
        hashes = [UInt32](unsafeUninitializedCapacity: table.count * width) { rows, initialised in
            for (index, feature) in list.enumerated() {
                byFeature[index].withUnsafeBufferPointer { values in
                    for record in 0..<table.count {
                        let number = table.number(record, feature.column)
                        rows[record * width + index] = number < 0 ? 0 : values[Int(number)]
                    }
                }
            }
            initialised = table.count * width
        }
    }

    /// The features of one record.
    static func hashes(of record: Int, _ list: [BlockingFeature], in table: borrowing MatchTable) -> [UInt32]
    {
        table.withView { view in
            list.map { feature in
                let number = view.numbers[record * view.width + feature.column]
                return number < 0 ? 0 : feature.hash(number, in: view.pools[feature.column])
            }
        }
    }
}
