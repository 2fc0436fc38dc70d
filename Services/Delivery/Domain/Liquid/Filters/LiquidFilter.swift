/// A filter: what it may be given, and what it makes of a value.
struct LiquidFilter: Sendable {
    typealias Body = @Sendable (LiquidValue, LiquidArguments) throws(LiquidProblem) -> LiquidValue

    /// How many positional arguments it takes.
    var arguments: ClosedRange<Int>
    /// The names of the arguments given by name.
    var keywords: Set<String>
    var apply: Body

    init(_ arguments: ClosedRange<Int> = 0...0, keywords: Set<String> = [], _ apply: @escaping Body) {
        (self.arguments, self.keywords, self.apply) = (arguments, keywords, apply)
    }

    /// A filter of a text that takes no arguments.
    static func text(_ body: @escaping @Sendable (String) -> String) -> LiquidFilter {
        LiquidFilter { (value, _) throws(LiquidProblem) in .string(body(value.text)) }
    }

    /// Every filter there is, by its name; a family of filters is a file.
    static let named: [String: LiquidFilter] = [
        textFilters, replacingFilters, markupFilters, encodingFilters, numberFilters, listFilters,
        selectingFilters,
        valueFilters,
    ].reduce(into: [:]) { all, family in all.merge(family) { first, _ in first } }
}

/// What a filter is called with.
struct LiquidArguments: Sendable {
    var positional: [LiquidValue] = []
    var keywords: [String: LiquidValue] = [:]
    var environment: LiquidEnvironment

    init(environment: LiquidEnvironment) {
        self.environment = environment
    }

    /// The argument at `index`; nil when it wasn't given.
    subscript(index: Int) -> LiquidValue? {
        index < positional.count ? positional[index] : nil
    }

    func text(_ index: Int) -> String {
        self[index]?.text ?? ""
    }

    /// A whole number, or a text that is one.
    func integer(_ index: Int) throws(LiquidProblem) -> Int? {
        switch self[index] {
        case nil: return nil
        case .integer(let number): return Int(clamping: number)
        case .string(let text):
            if let number = Int(text) { return number }
        default: break
        }
        throw LiquidProblem(message: "argument \(index + 1) is no whole number", expected: "a whole number")
    }
}
