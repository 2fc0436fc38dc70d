import Models

extension ImportMappingReading {
    private static let tests = ["empty", "is", "like", "less-than", "more-than"]

    func skips(_ reader: inout MappingReader) -> [ImportMapping.SkipRule] {
        reader.optionalList("skip", expected: "a list of { reason, when }").compactMap { value, path in
            guard var rule = MappingReader(value, path, log, expected: "{ reason, when }") else { return nil }
            let reason = rule.text("reason", expected: "why")
            let isLimited = rule.has("when")
            let when = conditions(&rule)
            rule.finish()
            if !isLimited {
                log.report(path, expected: "`when`: a list of conditions", found: "no `when`")
            }
            return reason.map { ImportMapping.SkipRule(reason: $0, when: when) }
        }
    }

    /// The conditions under `when`; none where it is absent.
    func conditions(_ reader: inout MappingReader) -> [RowCondition] {
        reader.optionalList(
            "when", expected: "a list of conditions such as { column: Quantity, less-than: 0 }"
        ).compactMap { value, path in
            guard var condition = MappingReader(value, path, log, expected: "{ column: …, is: … }") else {
                return nil
            }
            let column = condition.required("column", expected: "the name of a column")
                .flatMap { self.column($0, condition.path(to: "column")) }
            let test = test(&condition, Self.tests + ["not"], column)
            condition.finish()
            guard let column, let test else { return nil }
            return RowCondition(column: column, test: test)
        }
    }

    private func test(
        _ reader: inout MappingReader, _ known: [String], _ column: Int?
    ) -> RowCondition.Test? {
        var written: [(key: String, value: JSON)] = []
        for key in known { if let value = reader.optional(key) { written.append((key, value)) } }
        guard let (key, value) = written.first, written.count == 1 else {
            log.report(
                reader.path, expected: "exactly one of \(known.joined(separator: ", "))",
                found: written.isEmpty ? "none" : written.map(\.key).joined(separator: " and "))
            return nil
        }
        let path = reader.path(to: key)
        switch key {
        case "empty":
            if value.bool == nil { log.report(value, path, expected: "true or false") }
            return value.bool.map { .empty($0) }
        case "like":
            return texts(value, path).map { .like($0.map { Glob($0) }) }
        case "is":
            if let column {
                switch columns[column].type {
                case .integer, .decimal: return number(value, path).map { .equals($0) }
                case .text, .time, .instant: break
                }
            }
            return texts(value, path).map { .oneOf(Set($0)) }
        case "less-than": return number(value, path).map { .lessThan($0) }
        case "more-than": return number(value, path).map { .moreThan($0) }
        default:
            guard var inner = MappingReader(value, path, log, expected: "a test such as { is: x }") else {
                return nil
            }
            let test = test(&inner, Self.tests, column)
            inner.finish()
            return test.map { .not($0) }
        }
    }

    /// One text, or a list of them. Numbers are not taken for texts, because YAML would write 007 as 7.
    private func texts(_ value: JSON, _ path: String) -> [String]? {
        let elements = value.array ?? [value]
        let texts = elements.compactMap(\.string)
        guard texts.count == elements.count, (1...1000).contains(texts.count) else {
            log.report(value, path, expected: "a text in quotes, or a list of them")
            return nil
        }
        return texts
    }

    private func number(_ value: JSON, _ path: String) -> ExactDecimal? {
        let text =
            switch value {
            case .integer(let number): String(number)
            case .double(let number): "\(number)"
            default: value.string
            }
        guard let number = text.flatMap({ ExactDecimal($0) }) else {
            log.report(value, path, expected: "a number of at most 11 digits, such as 12.50")
            return nil
        }
        return number
    }
}
