/// The tags, one method for each.
extension LiquidParser {
    mutating func branches(_ token: LiquidToken, negated: Bool) throws(LiquidError) -> LiquidNode {
        let closing = negated ? "endunless" : "endif"
        var scanner = try LiquidScanner(source, token.content)
        let first = try scanner.condition()
        var condition: LiquidCondition? = negated ? .not(first) : first
        var branches: [LiquidNode.Branch] = []
        var isAfterElse = false
        while true {
            let part = try body(of: token, until: ["elsif", "else", closing])
            if !isAfterElse { branches.append(.init(condition: condition, body: part.nodes)) }
            if part.name == closing { break }
            isAfterElse = isAfterElse || condition == nil
            if isAfterElse { continue }
            if part.name == "else" {
                condition = nil
            } else {
                var scanner = try LiquidScanner(source, part.end.content)
                condition = try scanner.condition()
            }
        }
        if branches.allSatisfy({ $0.body.allSatisfy(\.isBlank) }) {
            for index in branches.indices { branches[index].body.removeAll(where: \.isText) }
        }
        return .branches(branches)
    }

    mutating func choices(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        var scanner = try LiquidScanner(source, token.content)
        let subject = try scanner.expression()
        try scanner.expectEnd()
        let before = try body(of: token, until: ["when", "else", "endcase"])
        guard before.nodes.allSatisfy(\.isBlank) else {
            throw source.error(at: token.start, "text before the first when", expected: "{% when %}")
        }
        var choices: [LiquidNode.Choice] = []
        var (name, tag) = (before.name, before.end)
        while name != "endcase" {
            var values: [LiquidExpression]?
            if name == "when" {
                var scanner = try LiquidScanner(source, tag.content)
                var list = [try scanner.expression()]
                while true {
                    if try scanner.skip(",") {
                    } else if try scanner.skipName("or") {
                    } else {
                        break
                    }
                    list.append(try scanner.expression())
                }
                try scanner.expectEnd()
                values = list
            }
            let part = try body(of: token, until: ["when", "else", "endcase"])
            choices.append(.init(values: values, body: part.nodes))
            (name, tag) = (part.name, part.end)
        }
        if choices.allSatisfy({ $0.body.allSatisfy(\.isBlank) }) {
            for index in choices.indices { choices[index].body.removeAll(where: \.isText) }
        }
        return .choices(subject, choices)
    }

    private func loopHead(_ token: LiquidToken) throws(LiquidError) -> LiquidLoopHead {
        var scanner = try LiquidScanner(source, token.content)
        guard case .name(let variable) = scanner.lexeme else {
            throw scanner.unexpected("the name of a variable")
        }
        try scanner.advance()
        guard try scanner.skipName("in") else { throw scanner.unexpected("“in”") }
        let start = scanner.offset
        let collection = try scanner.expression()
        let key = variable + "-" + source.text(start..<scanner.previousEnd)
        var head = LiquidLoopHead(variable: variable, collection: collection, key: key, offset: start)
        while scanner.lexeme != .end {
            if try scanner.skip(",") { continue }
            guard case .name(let option) = scanner.lexeme,
                ["reversed", "limit", "offset", "cols"].contains(option)
            else { throw scanner.unexpected("limit:, offset:, reversed or the end of the tag") }
            try scanner.advance()
            if option == "reversed" {
                head.isReversed = true
                continue
            }
            try scanner.expect(":")
            if option == "offset", try scanner.skipName("continue") {
                head.start = .continue
                continue
            }
            let value = try scanner.expression()
            switch option {
            case "limit": head.limit = value
            case "offset": head.start = .expression(value)
            default: head.columns = value
            }
        }
        return head
    }

    mutating func loop(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        let head = try loopHead(token)
        let part = try body(of: token, until: ["else", "endfor"])
        var (turns, otherwise) = (part.nodes, [LiquidNode]())
        if part.name == "else" { otherwise = try body(of: token, until: ["endfor"]).nodes }
        if turns.allSatisfy(\.isBlank), otherwise.allSatisfy(\.isBlank) {
            turns.removeAll(where: \.isText)
            otherwise.removeAll(where: \.isText)
        }
        return .loop(head, body: turns, otherwise: otherwise)
    }

    mutating func table(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        let head = try loopHead(token)
        return .table(head, body: try body(of: token, until: ["endtablerow"]).nodes)
    }

    func assign(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        var scanner = try LiquidScanner(source, token.content)
        let name = try target(&scanner)
        try scanner.expect("=")
        return .assign(name, try scanner.pipeline())
    }

    mutating func capture(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        let name = try variable(token)
        return .capture(name, try body(of: token, until: ["endcapture"]).nodes)
    }

    func variable(_ token: LiquidToken) throws(LiquidError) -> String {
        var scanner = try LiquidScanner(source, token.content)
        let name = try target(&scanner)
        try scanner.expectEnd()
        return name
    }

    private func target(_ scanner: inout LiquidScanner) throws(LiquidError) -> String {
        let name: String
        switch scanner.lexeme {
        case .name(let word), .text(let word): name = word
        case .integer(let number): name = "\(number)"
        default: throw scanner.unexpected("the name of a variable")
        }
        try scanner.advance()
        return name
    }

    func cycle(_ token: LiquidToken) throws(LiquidError) -> LiquidNode {
        var scanner = try LiquidScanner(source, token.content)
        var group: LiquidExpression?
        let first = try scanner.expression()
        var values: [LiquidExpression] = []
        if try scanner.skip(":") {
            group = first
            values.append(try scanner.expression())
        } else {
            values.append(first)
        }
        while try scanner.skip(",") { values.append(try scanner.expression()) }
        try scanner.expectEnd()
        return .cycle(group: group, key: source.text(token.content), values)
    }
}
