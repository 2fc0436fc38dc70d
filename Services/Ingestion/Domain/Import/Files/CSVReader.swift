import Glibc

/// Reads CSV (RFC 4180) out of bytes as they come: quoted fields with doubled quotes and line breaks, CR LF or LF, with
/// or without a byte order mark or a last line break. A quote inside an unquoted field is taken as it stands
/// (`15" ruler`), because many exports write it so.
package struct CSVReader: Sendable {
    private let delimiter: UInt8
    private let maxRecordBytes: Int
    /// What was given and is not read yet, from `position` on.
    private var buffer: [UInt8] = []
    private var position = 0
    private var line = 1
    private var width = 8
    private var atStart = true
    private var isFinished = false

    package init(delimiter: UInt8 = UInt8(ascii: ","), maxRecordBytes: Int = ImportLimits().rowBytes) {
        self.delimiter = delimiter
        self.maxRecordBytes = maxRecordBytes
    }

    /// Gives it the next bytes of the file.
    package mutating func append(_ bytes: [UInt8]) {
        if position == buffer.count {
            buffer = bytes
        } else {
            buffer.removeFirst(position)
            buffer += bytes
        }
        position = 0
    }

    /// Tells it that the file ends here.
    package mutating func finish() { isFinished = true }

    /// The next record that is not a blank line; nil where more bytes are needed, or the file has ended.
    package mutating func next() throws(UnreadableFile) -> CSVRecord? {
        if atStart {
            guard buffer.count >= 3 || isFinished else { return nil }
            atStart = false
            if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        }
        while true {
            var record = plainLine()
            if record == nil { record = try anyLine() }
            guard let record else { return nil }
            if !record.isBlank { return record }
        }
    }

    /// The quick way: a line that is all there and holds no quote. Nil for every other.
    private mutating func plainLine() -> CSVRecord? {
        let start = position
        let record: CSVRecord? = buffer.withUnsafeBufferPointer { buffer in
            guard start < buffer.count, let base = buffer.baseAddress,
                let newline = memchr(base + start, 0x0A, buffer.count - start)
            else { return nil }
            var length = newline - UnsafeMutableRawPointer(mutating: base + start)
            guard length <= maxRecordBytes, memchr(base + start, 0x22, length) == nil else { return nil }
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

    /// Where the byte-by-byte reader stands.
    private enum State { case fieldStart, plain, quoted, quoteInQuoted, afterReturn }

    /// A record on its way.
    private struct Draft {
        var bytes: [UInt8] = []
        var ranges: [Range<Int>] = []
        var fieldStart = 0
        var state = State.fieldStart
        var line: Int
        var quoteLine: Int

        init(line: Int) { (self.line, quoteLine) = (line, line) }

        mutating func endField() {
            ranges.append(fieldStart..<bytes.count)
            fieldStart = bytes.count
            state = .fieldStart
        }
    }

    /// Byte by byte: quotes, and the last line. A record that is not all there is read again with what comes.
    private mutating func anyLine() throws(UnreadableFile) -> CSVRecord? {
        guard position < buffer.count else { return nil }
        var draft = Draft(line: line)
        var place = position
        while place < buffer.count {
            guard place - position <= maxRecordBytes else {
                throw UnreadableFile(
                    line: line,
                    message:
                        "the record has more than \(maxRecordBytes) bytes; expected a closing \" before that")
            }
            if try take(buffer[place], &draft, &place) { return ended(&draft, place) }
        }
        guard isFinished else { return nil }
        guard draft.state != .quoted else {
            throw UnreadableFile(
                line: draft.quoteLine,
                message: "a quoted field begins here and never ends; expected a closing \"")
        }
        return ended(&draft, place)
    }

    private mutating func ended(_ draft: inout Draft, _ place: Int) -> CSVRecord {
        draft.endField()
        let record = CSVRecord(line: line, bytes: draft.bytes, ranges: draft.ranges)
        position = place
        line = draft.line
        return record
    }

    /// Takes one byte, and says whether it ends the record.
    private func take(
        _ byte: UInt8, _ draft: inout Draft, _ place: inout Int
    ) throws(UnreadableFile) -> Bool {
        switch draft.state {
        case .afterReturn where byte != 0x0A:
            // CR LF ends the record; a CR on its own is part of the field.
            draft.bytes.append(0x0D)
            draft.state = .plain
            return false
        case .quoted:
            if byte == 0x22 {
                draft.state = .quoteInQuoted
            } else {
                if byte == 0x0A { draft.line += 1 }
                draft.bytes.append(byte)
            }
        case .quoteInQuoted where byte == 0x22:
            draft.bytes.append(0x22)
            draft.state = .quoted
        case .fieldStart where byte == 0x22:
            draft.quoteLine = draft.line
            draft.state = .quoted
        case .afterReturn, .fieldStart, .plain, .quoteInQuoted:
            if byte == delimiter {
                draft.endField()
            } else if byte == 0x0A {
                draft.line += 1
                place += 1
                return true
            } else if byte == 0x0D {
                draft.state = .afterReturn
            } else if draft.state == .quoteInQuoted {
                throw UnreadableFile(
                    line: draft.line,
                    message: "text follows a closing \"; expected a delimiter or the end of the line")
            } else {
                draft.bytes.append(byte)
                draft.state = .plain
            }
        }
        place += 1
        return false
    }
}
