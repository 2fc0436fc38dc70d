/// What stands for a value in a template.
indirect enum LiquidExpression: Hashable, Sendable {
    case literal(LiquidValue)
    case path(root: LiquidSegment, [LiquidSegment])
    case range(LiquidExpression, LiquidExpression)
}

/// One step into a value: `.name`, or `[expression]`.
enum LiquidSegment: Hashable, Sendable {
    case name(String)
    case computed(LiquidExpression)
}

/// `| name: argument, keyword: argument`
struct LiquidFilterCall: Hashable, Sendable {
    var name: String
    var positional: [LiquidExpression]
    var keywords: [String: LiquidExpression]
    var offset: Int
}

/// An expression and the filters it goes through.
struct LiquidPipeline: Hashable, Sendable {
    var expression: LiquidExpression
    var filters: [LiquidFilterCall]
    var offset: Int
}

enum LiquidOperator: String, Hashable, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case greater = ">"
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
    case contains
}

/// What `if`, `elsif` and `unless` ask; `and` and `or` bind to the right, as in every Liquid.
indirect enum LiquidCondition: Hashable, Sendable {
    case truth(LiquidExpression)
    case comparison(LiquidExpression, LiquidOperator, LiquidExpression, offset: Int)
    case not(LiquidCondition)
    case and(LiquidCondition, LiquidCondition)
    case or(LiquidCondition, LiquidCondition)
}

/// A `for` or `tablerow` head.
struct LiquidLoopHead: Hashable, Sendable {
    enum Offset: Hashable, Sendable {
        case expression(LiquidExpression)
        /// `offset: continue`: from where the loop of the same name and source stopped.
        case `continue`
    }

    var variable: String
    var collection: LiquidExpression
    /// Variable and source text: the loop that `offset: continue` goes on with.
    var key: String
    var limit: LiquidExpression?
    var start: Offset?
    var columns: LiquidExpression?
    var isReversed = false
    var offset: Int
}

/// A node of a parsed template.
indirect enum LiquidNode: Hashable, Sendable {
    struct Branch: Hashable, Sendable {
        /// Nil for `else`.
        var condition: LiquidCondition?
        var body: [LiquidNode]
    }

    struct Choice: Hashable, Sendable {
        /// Nil for `else`.
        var values: [LiquidExpression]?
        var body: [LiquidNode]
    }

    case text(String)
    case output(LiquidPipeline)
    case branches([Branch])
    case choices(LiquidExpression, [Choice])
    case loop(LiquidLoopHead, body: [LiquidNode], otherwise: [LiquidNode])
    case table(LiquidLoopHead, body: [LiquidNode])
    case assign(String, LiquidPipeline)
    case capture(String, [LiquidNode])
    case count(String, by: Int64)
    case cycle(group: LiquidExpression?, key: String, [LiquidExpression])
    case ifChanged([LiquidNode])
    case interrupt(LiquidInterrupt)

    /// Renders nothing but whitespace, whatever happens; a block of such nodes renders nothing at all.
    var isBlank: Bool {
        switch self {
        case .text(let text): text.utf8.allSatisfy(\.isLiquidSpace)
        case .assign, .capture, .interrupt: true
        case .branches(let branches): branches.allSatisfy { $0.body.allSatisfy(\.isBlank) }
        case .choices(_, let choices): choices.allSatisfy { $0.body.allSatisfy(\.isBlank) }
        case .loop(_, let body, let otherwise): (body + otherwise).allSatisfy(\.isBlank)
        case .output, .table, .count, .cycle, .ifChanged: false
        }
    }

    var isText: Bool {
        if case .text = self { true } else { false }
    }
}

enum LiquidInterrupt: Hashable, Sendable {
    case `break`
    case `continue`
}
