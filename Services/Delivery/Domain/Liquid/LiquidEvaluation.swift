import Models

/// Values of expressions, filters and conditions.
extension LiquidRenderer {
    func placed<T>(_ offset: Int, _ body: () throws(LiquidProblem) -> T) throws(LiquidError) -> T {
        do {
            return try body()
        } catch {
            throw source.error(at: offset, error)
        }
    }

    func value(_ pipeline: LiquidPipeline) throws(LiquidError) -> LiquidValue {
        var value = try value(pipeline.expression)
        for call in pipeline.filters {
            guard let filter = LiquidFilter.named[call.name] else { continue }
            var arguments = LiquidArguments(environment: environment)
            for expression in call.positional { arguments.positional.append(try self.value(expression)) }
            for (keyword, expression) in call.keywords {
                arguments.keywords[keyword] = try self.value(expression)
            }
            let input = value
            value = try placed(call.offset) { () throws(LiquidProblem) in try filter.apply(input, arguments) }
            try check(value, at: call.offset)
        }
        return value
    }

    /// No value may grow beyond the limits, or a loop of `append` would take all memory.
    private func check(_ value: LiquidValue, at offset: Int) throws(LiquidError) {
        if let text = value.string, text.utf8.count > limits.outputBytes {
            throw source.error(
                at: offset, "the text grows too long", expected: "at most \(limits.outputBytes) bytes")
        }
        if case .array(let items) = value, items.count > limits.items {
            throw source.error(
                at: offset, "the list grows too long", expected: "at most \(limits.items) items")
        }
    }

    func value(_ expression: LiquidExpression) throws(LiquidError) -> LiquidValue {
        switch expression {
        case .literal(let value): return value
        case .range(let lower, let upper):
            return .range(try bound(lower), try bound(upper))
        case .path(let root, let segments):
            var value: LiquidValue
            switch root {
            case .name(let name): value = variable(name)
            case .computed(let expression): value = variable(try self.value(expression).text)
            }
            for segment in segments {
                switch segment {
                case .name(let name): value = value.member(name)
                case .computed(let expression): value = value.member(try self.value(expression))
                }
            }
            return value
        }
    }

    private func bound(_ expression: LiquidExpression) throws(LiquidError) -> Int64 {
        switch LiquidNumber(try value(expression)).rounded(.towardZero) {
        case .integer(let number): number
        case .double(let number): number < 0 ? .min : .max
        }
    }

    private func variable(_ name: String) -> LiquidValue {
        for scope in scopes.reversed() where scope.name == name { return scope.value }
        if name == "forloop" || name == "tablerowloop" {
            return scopes.last.map { .loop($0.loop) } ?? .null
        }
        if let local = locals[name] { return local }
        if let datum = data[name] { return LiquidValue(datum) }
        return counters[name].map(LiquidValue.integer) ?? .null
    }

    func isTrue(_ condition: LiquidCondition) throws(LiquidError) -> Bool {
        switch condition {
        case .truth(let expression): return try value(expression).isTrue
        case .not(let condition): return try !isTrue(condition)
        case .and(let left, let right): return try isTrue(left) ? isTrue(right) : false
        case .or(let left, let right): return try isTrue(left) ? true : isTrue(right)
        case .comparison(let left, let relation, let right, let offset):
            let (a, b) = (try value(left), try value(right))
            switch relation {
            case .equal: return a.isEqual(b)
            case .notEqual: return !a.isEqual(b)
            case .contains: return a.contains(b)
            case .less, .greater, .lessOrEqual, .greaterOrEqual:
                let order = try placed(offset) { () throws(LiquidProblem) in try a.compare(b) }
                switch order {
                case nil: return false
                case .before: return relation == .less || relation == .lessOrEqual
                case .same: return relation == .lessOrEqual || relation == .greaterOrEqual
                case .after: return relation == .greater || relation == .greaterOrEqual
                }
            }
        }
    }
}
