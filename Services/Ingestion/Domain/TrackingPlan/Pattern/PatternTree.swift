/// A regular expression as it is built up.
indirect enum PatternTree: Sendable {
    case empty
    case one(ScalarSet)
    case sequence([PatternTree])
    case choice([PatternTree])
    /// Without an upper bound where `atMost` is nil.
    case repetition(PatternTree, atLeast: Int, atMost: Int?)
    case start
    case end

    /// How many instructions it becomes, at least; stops counting far beyond any limit. What is empty counts as well,
    /// or repetitions of nothing could be nested without end.
    var size: Int {
        switch self {
        case .empty, .one, .start, .end: return 1
        case .sequence(let parts): return parts.reduce(1) { min($0 + $1.size, Self.huge) }
        case .choice(let parts): return parts.reduce(1) { min($0 + $1.size + 2, Self.huge) }
        case .repetition(let part, let atLeast, let atMost):
            let copies = max(atMost ?? (atLeast + 1), 1)
            return min((part.size + 2) * copies, Self.huge)
        }
    }

    private static let huge = 1 << 20
}

/// One step of a compiled expression.
enum PatternInstruction: Sendable {
    /// Takes one scalar of the set.
    case take(ScalarSet)
    /// Goes on at either place.
    case fork(Int, Int)
    case jump(Int)
    /// Goes on at the start of the text only.
    case start
    /// Goes on at the end of the text only.
    case end
    case match
}

/// Writes an expression out as instructions.
struct PatternCompiler {
    private var program: [PatternInstruction] = []

    static func program(of tree: PatternTree) -> [PatternInstruction] {
        var compiler = PatternCompiler()
        compiler.append(tree)
        compiler.program.append(.match)
        return compiler.program
    }

    private mutating func append(_ tree: PatternTree) {
        switch tree {
        case .empty: break
        case .one(let set): program.append(.take(set))
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .sequence(let parts):
            for part in parts { append(part) }
        case .choice(let parts): append(choice: parts)
        case .repetition(let part, let atLeast, let atMost):
            append(part, atLeast: atLeast, atMost: atMost)
        }
    }

    private mutating func append(choice parts: [PatternTree]) {
        var exits: [Int] = []
        for (index, part) in parts.enumerated() {
            guard index < parts.count - 1 else {
                append(part)
                break
            }
            let fork = program.count
            program.append(.fork(fork + 1, 0))
            append(part)
            exits.append(program.count)
            program.append(.jump(0))
            program[fork] = .fork(fork + 1, program.count)
        }
        for exit in exits { program[exit] = .jump(program.count) }
    }

    private mutating func append(_ part: PatternTree, atLeast: Int, atMost: Int?) {
        for _ in 0..<atLeast { append(part) }
        guard let atMost else {
            let fork = program.count
            program.append(.fork(fork + 1, 0))
            append(part)
            program.append(.jump(fork))
            program[fork] = .fork(fork + 1, program.count)
            return
        }
        // Each further repetition may be the last: all forks lead to the same exit.
        var forks: [Int] = []
        for _ in atLeast..<max(atLeast, atMost) {
            forks.append(program.count)
            program.append(.fork(0, 0))
            append(part)
        }
        for fork in forks { program[fork] = .fork(fork + 1, program.count) }
    }
}
