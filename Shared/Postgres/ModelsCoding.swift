import FoundationEssentials
package import Models

extension Instant: PostgresEncodable, PostgresDecodable {
    /// The `timestamptz` form, in UTC with milliseconds.
    package var postgresText: String? { TimestampText.text(milliseconds: milliseconds) }

    /// Reads a `timestamptz` of a session in UTC with `DateStyle` ISO; microseconds are cut off.
    package init(postgresText: String) throws {
        guard let milliseconds = TimestampText.milliseconds(of: postgresText) else {
            throw PostgresDecodingFailure("is no timestamptz")
        }
        self.init(milliseconds: milliseconds)
    }
}

extension TypedID: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { uuid.postgresText }
    package init(postgresText: String) throws { self.init(try UUID(postgresText: postgresText)) }
}

extension Shard: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { String(number) }

    package init(postgresText: String) throws {
        guard let shard = Shard(number: try Int16(postgresText: postgresText)) else {
            throw PostgresDecodingFailure("is no shard number")
        }
        self = shard
    }
}

extension ServiceName: PostgresEncodable, PostgresDecodable {}

extension JSON: PostgresEncodable, PostgresDecodable {
    /// The serialised value, for `jsonb` and `text` columns alike. JSON's null is the value `null`, not SQL's NULL.
    package var postgresText: String? { compact }

    package init(postgresText: String) throws {
        do {
            self = try JSONParser.parse(Array(postgresText.utf8))
        } catch {
            throw PostgresDecodingFailure("is no JSON")
        }
    }
}

/// PostgreSQL's ISO form of `timestamptz` in UTC: `2024-02-29 23:59:59.123456+00`, with ` BC` before year 1.
enum TimestampText {
    static func text(milliseconds: Int64) -> String {
        let (days, rest) = milliseconds.quotientAndModulo(86_400_000)
        let civil = CivilDate(daysSinceEpoch: days)
        func padded(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        // There is no year 0: year 0 of the calculation is 1 BC.
        let date =
            "\(padded(civil.year > 0 ? civil.year : 1 - civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))"
        let time =
            "\(padded(rest / 3_600_000, 2)):\(padded(rest / 60_000 % 60, 2)):\(padded(rest / 1000 % 60, 2))"
        return "\(date) \(time).\(padded(rest % 1000, 3))+00" + (civil.year > 0 ? "" : " BC")
    }

    static func milliseconds(of text: String) -> Int64? {
        var reader = DigitReader(text)
        guard let year = reader.number(4...6), reader.skip("-"), let month = reader.number(2...2),
            reader.skip("-"), let day = reader.number(2...2), reader.skip(" "),
            let hour = reader.number(2...2), reader.skip(":"), let minute = reader.number(2...2),
            reader.skip(":"), let second = reader.number(2...2)
        else { return nil }
        var fraction: Int64 = 0
        if reader.skip(".") {
            guard let milliseconds = reader.fraction() else { return nil }
            fraction = milliseconds
        }
        guard reader.skip("+00") else { return nil }
        let isBeforeChrist = reader.skip(" BC")
        guard reader.isAtEnd else { return nil }
        guard let date = CivilDate(year: isBeforeChrist ? 1 - year : year, month: month, day: day) else {
            return nil
        }
        return date.daysSinceEpoch * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1000
            + fraction
    }
}

extension Int64 {
    /// Division that rounds down, so that the remainder is never negative.
    fileprivate func quotientAndModulo(_ divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

private struct DigitReader {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ word: String) -> Bool {
        guard rest.starts(with: word.utf8) else { return false }
        rest = rest.dropFirst(word.utf8.count)
        return true
    }

    private mutating func digit() -> Int64? {
        guard let byte = rest.first, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        rest = rest.dropFirst()
        return Int64(byte - UInt8(ascii: "0"))
    }

    mutating func number(_ width: ClosedRange<Int>) -> Int64? {
        var value: Int64 = 0
        for position in 0..<width.upperBound {
            guard let digit = digit() else { return position >= width.lowerBound ? value : nil }
            value = value * 10 + digit
        }
        return value
    }

    /// Milliseconds out of one to six digits.
    mutating func fraction() -> Int64? {
        guard var value = digit() else { return nil }
        var scale: Int64 = 10
        while let digit = digit() {
            if scale < 1000 {
                value = value * 10 + digit
                scale *= 10
            }
        }
        while scale < 1000 {
            value *= 10
            scale *= 10
        }
        return value
    }
}
