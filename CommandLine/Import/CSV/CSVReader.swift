import Glibc

/// Reads CSV (RFC 4180) from chunks of bytes: quoted fields with doubled quotes and line breaks, CR LF
/// or LF, with or without a byte order mark or a last line break. A quote inside an unquoted field is
/// taken as it stands (`15" ruler`), because many exports write it so.
struct CSVReader {
    /// A record longer than this is taken for an unclosed quote.
    static let maxRecordBytes = 16 << 20

    private let delimiter: UInt8
    private let source: () throws -> [UInt8]?
    private var chunk: [UInt8] = []
    private var position = 0
    private var line = 1
    private var width = 8
    private var atStart = true
    private var finished = false

    /// - Parameter source: the next bytes of the file; nil at its end.
    init(delimiter: UInt8 = UInt8(ascii: ","), source: @escaping () throws -> [UInt8]?) {
        self.delimiter = delimiter
        self.source = source
    }

    /// A reader over bytes that are all there.
    init(bytes: [UInt8], delimiter: UInt8 = UInt8(ascii: ","), chunkSize: Int = 1 << 16) {
        var rest = bytes[...]
        self.init(delimiter: delimiter) {
            guard !rest.isEmpty else { return nil }
            defer { rest = rest.dropFirst(chunkSize) }
            return Array(rest.prefix(chunkSize))
        }
    }

    /// Where the byte-by-byte reader stands.
    private enum State { case fieldStart, plain, quoted, quoteInQuoted, afterReturn }

    /// The next record that is not a blank line; nil at the end of the file.
    mutating func next() throws -> CSVRecord? {
        while let record = try nextLine() {
            if !record.isBlank { return record }
        }
        return nil
    }

    private mutating func nextLine() throws -> CSVRecord? {
        try plainLine() ?? anyLine()
    }

    /// The quick way: a line that is whole in the chunk and holds no quote. Nil for every other.
    private mutating func plainLine() -> CSVRecord? {
        let start = position
        let record: CSVRecord? = chunk.withUnsafeBufferPointer { buffer in
            guard start < buffer.count, let base = buffer.baseAddress,
                let newline = memchr(base + start, 0x0A, buffer.count - start)
            else { return nil }
            var length = newline - UnsafeMutableRawPointer(mutating: base + start)
            guard memchr(base + start, 0x22, length) == nil else { return nil }
            position = start + length + 1
            if length > 0, base[start + length - 1] == 0x0D { length -= 1 }
            var ranges: [Range<Int>] = []
            ranges.reserveCapacity(width)
            var from = 0
            while let found = memchr(base + start + from, Int32(delimiter), length - from) {
                let end = found - UnsafeMutableRawPointer(mutating: base + start)
                ranges.append(from..<end)
                from = end + 1
            }
            ranges.append(from..<length)
            let bytes = Array(UnsafeBufferPointer(start: base + start, count: length))
            return CSVRecord(line: line, bytes: bytes, ranges: ranges)
        }
        if let record {
            line += 1
            width = record.count
        }
        return record
    }

    /// Byte by byte: quotes, and lines that reach over the end of a chunk.
    private mutating func anyLine() throws -> CSVRecord? {
        let first = line
        var bytes: [UInt8] = []
        var ranges: [Range<Int>] = []
        var fieldStart = 0
        var state = State.fieldStart
        var quoteLine = line
        var sawAny = false
        func ended() -> CSVRecord {
            CSVRecord(line: first, bytes: bytes, ranges: ranges + [fieldStart..<bytes.count])
        }
        while true {
            if position == chunk.count, try !refill() {
                if !sawAny { return nil }
                if state == .quoted {
                    throw CSVProblem(
                        line: quoteLine,
                        message: "a quoted field begins here and never ends; expected a closing \"")
                }
                return ended()
            }
            sawAny = true
            let byte = chunk[position]
            switch state {
            case .afterReturn:
                // CR LF ends the record; a CR on its own is part of the field.
                if byte == 0x0A {
                    position += 1
                    line += 1
                    return ended()
                }
                bytes.append(0x0D)
                state = .plain
                continue
            case .quoted:
                position += 1
                if byte == 0x22 {
                    state = .quoteInQuoted
                } else {
                    if byte == 0x0A { line += 1 }
                    bytes.append(byte)
                }
            case .quoteInQuoted where byte == 0x22:
                position += 1
                bytes.append(0x22)
                state = .quoted
            case .fieldStart where byte == 0x22:
                position += 1
                quoteLine = line
                state = .quoted
            case .fieldStart, .plain, .quoteInQuoted:
                position += 1
                if byte == delimiter {
                    ranges.append(fieldStart..<bytes.count)
                    fieldStart = bytes.count
                    state = .fieldStart
                } else if byte == 0x0A {
                    line += 1
                    return ended()
                } else if byte == 0x0D {
                    state = .afterReturn
                } else if state == .quoteInQuoted {
                    throw CSVProblem(
                        line: line,
                        message: "text follows a closing \"; expected a delimiter or the end of the line")
                } else {
                    bytes.append(byte)
                    state = .plain
                }
            }
            if bytes.count > Self.maxRecordBytes {
                throw CSVProblem(
                    line: first, message: "the record is over 16 MB long; expected a closing \" before that")
            }
        }
    }

    private mutating func refill() throws -> Bool {
        guard !finished else { return false }
        guard let next = try source(), !next.isEmpty else {
            finished = true
            return false
        }
        chunk = next
        position = 0
        if atStart {
            atStart = false
            while chunk.count < 3, let more = try source(), !more.isEmpty { chunk += more }
            if chunk.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
            if position == chunk.count { return try refill() }
        }
        return true
    }
}
