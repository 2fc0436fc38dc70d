import Models

/// Renders the nodes of one template once.
struct LiquidRenderer {
    let source: LiquidSource
    let data: [String: JSON]
    let environment: LiquidEnvironment

    private(set) var output: [UInt8] = []
    var locals: [String: LiquidValue] = [:]
    /// Variables of the loops around, outermost first.
    var scopes: [(name: String, value: LiquidValue, loop: LiquidLoop)] = []
    var counters: [String: Int64] = [:]
    private var cycles: [String: Int] = [:]
    private var resumes: [String: Int] = [:]
    private var lastChanged: [UInt8]?
    private var steps = 0

    init(source: LiquidSource, data: [String: JSON], environment: LiquidEnvironment) {
        (self.source, self.data, self.environment) = (source, data, environment)
    }

    var limits: LiquidLimits { environment.limits }

    @discardableResult
    mutating func render(_ nodes: [LiquidNode]) throws(LiquidError) -> LiquidInterrupt? {
        for node in nodes {
            steps += 1
            guard steps <= limits.steps else {
                throw source.error(
                    at: 0, "the template does more than \(limits.steps) steps", expected: "shorter loops")
            }
            if let interrupt = try render(node) { return interrupt }
        }
        return nil
    }

    private mutating func render(_ node: LiquidNode) throws(LiquidError) -> LiquidInterrupt? {
        switch node {
        case .text(let text):
            try append(text)
        case .output(let pipeline):
            try put(out: try value(pipeline), at: pipeline.offset)
        case .branches(let branches):
            for branch in branches {
                if let condition = branch.condition, !(try isTrue(condition)) { continue }
                return try render(branch.body)
            }
        case .choices(let subject, let choices):
            return try choose(try value(subject), choices)
        case .loop(let head, let body, let otherwise):
            return try loop(head, body: body, otherwise: otherwise)
        case .table(let head, let body):
            try table(head, body: body)
        case .assign(let name, let pipeline):
            locals[name] = try value(pipeline)
        case .capture(let name, let body):
            let captured = try captured(body)
            locals[name] = environment.escapesHTML ? .markup(captured) : .string(captured)
        case .count(let name, let step):
            let before = counters[name] ?? 0
            counters[name] = before &+ step
            try append(String(step > 0 ? before : before &+ step))
        case .cycle(let group, let key, let values):
            let name =
                try group.map { (name) throws(LiquidError) in "group " + (try value(name).text) } ?? key
            let turn = cycles[name] ?? 0
            cycles[name] = turn + 1 < values.count ? turn + 1 : 0
            if turn < values.count { try put(out: try value(values[turn]), at: 0) }
        case .ifChanged(let body):
            let text = Array(try captured(body).utf8)
            if text != lastChanged ?? [] { try append(bytes: text) }
            lastChanged = text
        case .interrupt(let interrupt):
            return interrupt
        }
        return nil
    }

    private mutating func captured(_ body: [LiquidNode]) throws(LiquidError) -> String {
        let before = output
        output = []
        try render(body)
        let text = String(decoding: output, as: UTF8.self)
        output = before
        return text
    }

    // MARK: Output

    private mutating func put(out value: LiquidValue, at offset: Int) throws(LiquidError) {
        if case .markup(let text) = value { return try append(text) }
        if case .array(let values) = value {
            for item in values { try put(out: item, at: offset) }
            return
        }
        try append(environment.escapesHTML ? value.text.htmlEscaped : value.text)
    }

    private mutating func append(_ text: String) throws(LiquidError) {
        try append(bytes: Array(text.utf8))
    }

    private mutating func append(bytes: [UInt8]) throws(LiquidError) {
        guard output.count + bytes.count <= limits.outputBytes else {
            throw source.error(
                at: 0, "the rendered text is longer than \(limits.outputBytes) bytes",
                expected: "a shorter text")
        }
        output.append(contentsOf: bytes)
    }

    // MARK: Blocks

    private mutating func choose(
        _ subject: LiquidValue, _ choices: [LiquidNode.Choice]
    ) throws(LiquidError) -> LiquidInterrupt? {
        var isMatched = false
        for choice in choices {
            guard let values = choice.values else {
                if !isMatched, let interrupt = try render(choice.body) { return interrupt }
                continue
            }
            for value in values where try self.value(value).isEqual(subject) {
                isMatched = true
                if let interrupt = try render(choice.body) { return interrupt }
            }
        }
        return nil
    }

    /// The items a loop goes over, after offset, limit and reversal.
    private mutating func turns(of head: LiquidLoopHead) throws(LiquidError) -> [LiquidValue] {
        let collection = try value(head.collection)
        let all = try placed(head.offset) { () throws(LiquidProblem) in
            try collection.turns(limit: limits.items)
        }
        var start = 0
        switch head.start {
        case nil: break
        case .continue: start = resumes[head.key] ?? 0
        case .expression(let expression): start = try count(expression, head.offset)
        }
        var part = all.dropFirst(start)
        if let limit = head.limit { part = part.prefix(try count(limit, head.offset)) }
        resumes[head.key] = start + part.count
        return head.isReversed ? part.reversed() : Array(part)
    }

    private func count(_ expression: LiquidExpression, _ offset: Int) throws(LiquidError) -> Int {
        switch try value(expression) {
        case .integer(let number): return Int(clamping: max(0, number))
        case .double(let number): return Int(exactly: number.rounded(.down)).map { max(0, $0) } ?? 0
        case .string(let text):
            if let number = Int(text) { return max(0, number) }
        case .null: return 0
        default: break
        }
        throw source.error(at: offset, "limit, offset and cols are numbers", expected: "a whole number")
    }

    private mutating func loop(
        _ head: LiquidLoopHead, body: [LiquidNode], otherwise: [LiquidNode]
    ) throws(LiquidError) -> LiquidInterrupt? {
        let turns = try turns(of: head)
        if turns.isEmpty { return try render(otherwise) }
        let parent = scopes.last.map { [$0.loop] } ?? []
        for (index, turn) in turns.enumerated() {
            let loop = LiquidLoop(index: index, length: turns.count, parent: parent, columns: nil)
            scopes.append((head.variable, turn, loop))
            let interrupt = try render(body)
            scopes.removeLast()
            if interrupt == .break { break }
        }
        return nil
    }

    private mutating func table(_ head: LiquidLoopHead, body: [LiquidNode]) throws(LiquidError) {
        let turns = try turns(of: head)
        let wanted = try head.columns.map { (expression) throws(LiquidError) in
            try count(expression, head.offset)
        }
        let columns = max(1, wanted ?? turns.count)
        try append("<tr class=\"row1\">\n")
        for (index, turn) in turns.enumerated() {
            let loop = LiquidLoop(index: index, length: turns.count, parent: [], columns: columns)
            if index > 0, index % columns == 0 { try append("<tr class=\"row\(index / columns + 1)\">") }
            try append("<td class=\"col\(index % columns + 1)\">")
            scopes.append((head.variable, turn, loop))
            let interrupt = try render(body)
            scopes.removeLast()
            try append("</td>")
            let isLast = index == turns.count - 1 || interrupt == .break
            if isLast || index % columns == columns - 1 { try append("</tr>\n") }
            if interrupt == .break { break }
        }
    }
}
