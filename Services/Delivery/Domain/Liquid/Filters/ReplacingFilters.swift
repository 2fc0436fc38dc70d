extension LiquidFilter {
    static let replacingFilters: [String: LiquidFilter] = [
        "replace": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            .string(
                try replace(value.text, arguments.text(0), arguments.text(1), arguments.environment.limits))
        },
        "replace_first": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            .string(replaceFirst(value.text, arguments.text(0), arguments.text(1)))
        },
        "replace_last": LiquidFilter(2...2) { (value, arguments) throws(LiquidProblem) in
            .string(replaceLast(value.text, arguments.text(0), arguments.text(1)))
        },
        "remove": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            let wanted = arguments.text(0)
            return .string(
                wanted.isEmpty
                    ? value.text : try replace(value.text, wanted, "", arguments.environment.limits))
        },
        "remove_first": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            .string(replaceFirst(value.text, arguments.text(0), ""))
        },
        "remove_last": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            .string(replaceLast(value.text, arguments.text(0), ""))
        },
    ]

    private static func replace(
        _ text: String, _ old: String, _ new: String, _ limits: LiquidLimits
    ) throws(LiquidProblem) -> String {
        let (bytes, wanted, replacement) = (Array(text.utf8), Array(old.utf8), Array(new.utf8))
        // An empty text stands between all characters, as in Ruby.
        if wanted.isEmpty {
            guard replacement.count * (text.count + 1) <= limits.outputBytes else { throw tooLong(limits) }
            return new + text.map { "\($0)\(new)" }.joined()
        }
        var result: [UInt8] = []
        var start = 0
        while let found = bytes.firstRange(of: wanted, from: start) {
            result += bytes[start..<found.lowerBound]
            result += replacement
            start = found.upperBound
            guard result.count <= limits.outputBytes else { throw tooLong(limits) }
        }
        result += bytes[start...]
        return String(decoding: result, as: UTF8.self)
    }

    private static func tooLong(_ limits: LiquidLimits) -> LiquidProblem {
        LiquidProblem(message: "the text grows too long", expected: "at most \(limits.outputBytes) bytes")
    }

    private static func replaceFirst(_ text: String, _ old: String, _ new: String) -> String {
        let bytes = Array(text.utf8)
        guard let found = bytes.firstRange(of: Array(old.utf8), from: 0) else { return text }
        return String(
            decoding: bytes[..<found.lowerBound] + Array(new.utf8) + bytes[found.upperBound...], as: UTF8.self
        )
    }

    private static func replaceLast(_ text: String, _ old: String, _ new: String) -> String {
        let (bytes, wanted) = (Array(text.utf8), Array(old.utf8))
        guard !wanted.isEmpty else { return text + new }
        var last: Range<Int>?
        var start = 0
        while let found = bytes.firstRange(of: wanted, from: start) {
            last = found
            start = found.lowerBound + 1
        }
        guard let last else { return text }
        return String(
            decoding: bytes[..<last.lowerBound] + Array(new.utf8) + bytes[last.upperBound...], as: UTF8.self)
    }
}
