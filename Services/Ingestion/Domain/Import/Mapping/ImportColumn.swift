package import Models

/// A column of the file: its name in the header and how its text is read.
package struct ImportColumn: Sendable {
    package let name: String
    package let type: ColumnType
}

/// How the text of a column is read. An empty text is null, whatever the type.
package enum ColumnType: Sendable {
    case text(LetterCase?, dropSuffix: String?)
    case integer
    case decimal
    case time(LocalTime)
    /// A time that says its offset itself, as `2026-11-21T02:33:00Z`.
    case instant

    package enum LetterCase: String, Sendable, CaseIterable { case upper, lower }

    /// What a text must look like, for messages.
    package var expectation: String {
        switch self {
        case .text: "a text"
        case .integer: "a whole number"
        case .decimal: "a number such as 12.50"
        case .time(let format): "a time like \(format.pattern)"
        case .instant: "an RFC 3339 time such as 2026-11-21T02:33:00Z"
        }
    }

    /// The value of a field; nil when the text does not fit the type.
    package func value(_ text: String) -> ColumnValue? {
        let trimmed = text.trimmedASCII
        if trimmed.isEmpty { return .null }
        switch self {
        case .text(let letterCase, let suffix):
            var result = trimmed
            if let suffix, result.hasSuffix(suffix) { result.removeLast(suffix.count) }
            switch letterCase {
            case .upper: return .text(result.uppercased())
            case .lower: return .text(result.lowercased())
            case nil: return .text(result)
            }
        case .integer:
            return Int64(trimmed).flatMap { $0.magnitude < 100_000_000_000 ? .integer($0) : nil }
        case .decimal:
            return ExactDecimal(trimmed).map { .decimal($0) }
        case .time(let format):
            return format.instant(trimmed).map { .time($0) }
        case .instant:
            return Instant(rfc3339: trimmed).map { .time($0) }
        }
    }
}

/// A field after reading.
package enum ColumnValue: Sendable, Hashable {
    case null
    case text(String)
    case integer(Int64)
    case decimal(ExactDecimal)
    case time(Instant)

    /// The value in an id or a text.
    package var text: String {
        switch self {
        case .null: ""
        case .text(let text): text
        case .integer(let value): String(value)
        case .decimal(let value): value.text
        case .time(let instant): instant.rfc3339
        }
    }

    package var number: ExactDecimal? {
        switch self {
        case .integer(let value): ExactDecimal(value)
        case .decimal(let value): value
        case .null, .text, .time: nil
        }
    }

    /// The value in an event: whole numbers as numbers, decimals as strings, because money must stay exact.
    package var json: JSON {
        switch self {
        case .null: .null
        case .text(let text): .string(text)
        case .integer(let value): .integer(value)
        case .decimal(let value): .string(value.text)
        case .time(let instant): .string(instant.rfc3339)
        }
    }
}

/// A row of the file with every column of the mapping read.
package struct ImportRow: Sendable {
    /// The line it starts on.
    package let line: Int
    package let values: [ColumnValue]
    /// How much of the file it is.
    package var bytes = 0

    package init(line: Int, values: [ColumnValue], bytes: Int = 0) {
        (self.line, self.values, self.bytes) = (line, values, bytes)
    }
}

extension String {
    /// Without ASCII white space at either end.
    var trimmedASCII: String {
        let bytes = utf8
        func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        var start = bytes.startIndex
        var end = bytes.endIndex
        guard let first = bytes.first, let last = bytes.last, isSpace(first) || isSpace(last) else {
            return self
        }
        while start < end, isSpace(bytes[start]) { start = bytes.index(after: start) }
        while start < end, isSpace(bytes[bytes.index(before: end)]) { end = bytes.index(before: end) }
        return String(self[start..<end])
    }
}
