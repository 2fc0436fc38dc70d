package import Models

/// What a condition is known by: two rules that say the same remember the same, and share it.
package struct ConditionKey: Hashable, Comparable, Sendable {
    let first: UInt64
    let second: UInt64

    /// Of a condition as it is written.
    init(_ condition: JSON) {
        let text = condition.compact
        first = StableHash.hash64(text)
        second = StableHash.hash64("again", text)
    }

    package init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }

    package static func < (left: ConditionKey, right: ConditionKey) -> Bool {
        (left.first, left.second) < (right.first, right.second)
    }
}

/// The segments and conditions that a state tells of, by their places in it: the same for all profiles that are decided by
/// one set of rules, so that a state has to hold only what is particular to its profile.
package final class StateLayout: Sendable {
    package struct Segment: Hashable, Sendable {
        package let id: String
        package let version: Int

        package init(id: String, version: Int) {
            self.id = id
            self.version = version
        }
    }

    /// In ascending order of their ids.
    package let segments: [Segment]
    package let conditions: [ConditionKey]
    /// The same for the same segments and conditions, and for no others.
    package let key: UInt64
    private let places: [String: Int]
    private let slots: [ConditionKey: Int]

    /// Of no rules.
    package static let empty = StateLayout(segments: [], conditions: [])

    package init(segments: [Segment], conditions: [ConditionKey]) {
        self.segments = segments
        self.conditions = conditions
        places = Dictionary(
            segments.enumerated().map { ($0.element.id, $0.offset) }, uniquingKeysWith: { first, _ in first })
        slots = Dictionary(
            conditions.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
        let text =
            segments.map { "\($0.id) \($0.version)" } + [""] + conditions.map { "\($0.first) \($0.second)" }
        key = segments.isEmpty && conditions.isEmpty ? 0 : StableHash.hash64(text.joined(separator: "\n"))
    }

    /// Where a segment is among `segments`.
    func place(of id: String) -> Int? { places[id] }

    /// Where a condition is among `conditions`.
    func slot(of condition: ConditionKey) -> Int? { slots[condition] }
}

extension StateLayout {
    /// As it is stored, for those states that name its key: `{"s": [["lapsed", 3], …], "c": ["<32 hex digits>", …]}`.
    package var json: JSON {
        [
            "s": .array(segments.map { [.string($0.id), .integer(Int64($0.version))] }),
            "c": .array(conditions.map { .string($0.text) }),
        ]
    }

    package convenience init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        var segments: [Segment] = []
        for element in try fields.array("s") {
            guard let parts = element.array, parts.count == 2, let id = parts[0].string,
                let version = parts[1].integer
            else { throw fields.problem("s", expected: "ids and versions") }
            segments.append(Segment(id: id, version: Int(version)))
        }
        var conditions: [ConditionKey] = []
        for element in try fields.array("c") {
            guard let key = element.string.flatMap({ ConditionKey(text: $0) }) else {
                throw fields.problem("c", expected: "keys of conditions")
            }
            conditions.append(key)
        }
        self.init(segments: segments, conditions: conditions)
    }
}

extension ConditionKey {
    /// 32 hexadecimal digits.
    var text: String {
        [first, second].map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    init?(text: String) {
        guard text.utf8.count == 32, let first = UInt64(text.prefix(16), radix: 16),
            let second = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(first: first, second: second)
    }
}
