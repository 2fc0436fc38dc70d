package import Models

/// A value while a template is rendered: JSON, and what only Liquid knows.
package enum LiquidValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    /// HTML that is put out as it is.
    case markup(String)
    case array([LiquidValue])
    case object([String: JSON])
    case range(Int64, Int64)
    case loop(LiquidLoop)
    case empty
    case blank

    package init(_ json: JSON) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let values): self = .array(values.map(LiquidValue.init))
        case .object(let members): self = .object(members)
        }
    }

    /// Everything is true but `nil` and `false`.
    var isTrue: Bool {
        switch self {
        case .null, .bool(false): false
        default: true
        }
    }

    /// `nil`, `false`, and what holds nothing: what `default` replaces.
    var isEmptyHanded: Bool {
        switch self {
        case .null, .bool(false), .empty, .blank: true
        case .string(let text), .markup(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        default: false
        }
    }

    var isNull: Bool { self == .null }

    /// The text of a string, marked up or not.
    var string: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// What the value looks like in a text.
    var text: String {
        switch self {
        case .null, .empty, .blank, .loop: ""
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .double(let value): value.description
        case .string(let text), .markup(let text): text
        case .array(let values): values.map(\.text).joined()
        case .object(let members): JSON.object(members).compact
        case .range(let lower, let upper): "\(lower)..\(upper)"
        }
    }

    /// The items of a list; anything else is a list of itself, and nothing is a list of nothing.
    func items(limit: Int) throws(LiquidProblem) -> [LiquidValue] {
        switch self {
        case .null, .empty, .blank: return []
        case .array(let values): return values
        case .range(let lower, let upper):
            guard lower <= upper else { return [] }
            let (span, overflow) = upper.subtractingReportingOverflow(lower)
            guard !overflow, span < Int64(limit) else {
                throw LiquidProblem(message: "the range is too long", expected: "at most \(limit) items")
            }
            return (lower...upper).map(LiquidValue.integer)
        default: return [self]
        }
    }

    /// What a loop goes over: an object gives pairs in the order of its names.
    func turns(limit: Int) throws(LiquidProblem) -> [LiquidValue] {
        switch self {
        case .object(let members): pairs(members)
        case .string(let text) where text.isEmpty, .markup(let text) where text.isEmpty: []
        case .bool, .integer, .double, .loop: []
        default: try items(limit: limit)
        }
    }

    private func pairs(_ members: [String: JSON]) -> [LiquidValue] {
        members.sorted { $0.key < $1.key }.map { .array([.string($0.key), LiquidValue($0.value)]) }
    }

    /// `value.name`
    func member(_ name: String) -> LiquidValue {
        switch self {
        case .object(let members):
            if let member = members[name] { return LiquidValue(member) }
            switch name {
            case "size": return .integer(Int64(members.count))
            case "first": return pairs(members).first ?? .null
            default: return .null
            }
        case .array(let values):
            switch name {
            case "size": return .integer(Int64(values.count))
            case "first": return values.first ?? .null
            case "last": return values.last ?? .null
            default: return .null
            }
        case .string(let text), .markup(let text):
            switch name {
            case "size": return .integer(Int64(text.count))
            default: return .null
            }
        case .range(let lower, let upper):
            switch name {
            case "first": return .integer(lower)
            case "last": return .integer(upper)
            case "size": return .integer(max(0, upper.subtractingReportingOverflow(lower).partialValue &+ 1))
            default: return .null
            }
        case .loop(let loop): return loop.member(name)
        default: return .null
        }
    }

    /// `value[index]`
    func member(_ index: LiquidValue) -> LiquidValue {
        switch (self, index) {
        case (.array(let values), .integer(let position)):
            let index = position < 0 ? Int64(values.count) + position : position
            guard index >= 0, index < values.count else { return .null }
            return values[Int(index)]
        case (.range(let lower, let upper), .integer(let position)):
            let (value, overflow) = lower.addingReportingOverflow(position)
            return position >= 0 && !overflow && value <= upper ? .integer(value) : .null
        case (.object, _) where index.string != nil: return member(index.text)
        case (.array, _) where index.string != nil: return member(index.text)
        default: return .null
        }
    }
}

/// `forloop`: where a loop stands.
package struct LiquidLoop: Hashable, Sendable {
    var index: Int
    var length: Int
    /// The loop around it: none or one.
    var parent: [LiquidLoop]
    /// `cols` of a `tablerow`.
    var columns: Int?

    func member(_ name: String) -> LiquidValue {
        switch name {
        case "index": .integer(Int64(index + 1))
        case "index0": .integer(Int64(index))
        case "rindex": .integer(Int64(length - index))
        case "rindex0": .integer(Int64(length - index - 1))
        case "first": .bool(index == 0)
        case "last": .bool(index == length - 1)
        case "length": .integer(Int64(length))
        case "parentloop": parent.first.map(LiquidValue.loop) ?? .null
        default: columns.map { place(name, columns: $0) } ?? .null
        }
    }

    private func place(_ name: String, columns: Int) -> LiquidValue {
        switch name {
        case "col": .integer(Int64(index % columns + 1))
        case "col0": .integer(Int64(index % columns))
        case "row": .integer(Int64(index / columns + 1))
        case "col_first": .bool(index % columns == 0)
        case "col_last": .bool(index % columns == columns - 1 || index == length - 1)
        default: .null
        }
    }
}
