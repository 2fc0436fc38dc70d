import Glibc

/// Reads the lines of an NDJSON file out of bytes as they come. What a line holds is not looked at.
package struct NDJSONReader: Sendable {
    package struct Line: Hashable, Sendable {
        /// From 1.
        package var number: Int
        /// Nil for a line that is too long to hold.
        package var bytes: [UInt8]?
    }

    private let maxLineBytes: Int
    private var buffer: [UInt8] = []
    private var position = 0
    private var line = 1
    private var atStart = true
    private var isFinished = false
    /// Inside of a line that is too long to hold.
    private var isSkipping = false

    package init(maxLineBytes: Int = ImportLimits().rowBytes) { self.maxLineBytes = maxLineBytes }

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

    /// The next line that is not blank; nil where more bytes are needed, or the file has ended.
    package mutating func next() -> Line? {
        if atStart {
            guard buffer.count >= 3 || isFinished else { return nil }
            atStart = false
            if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        }
        while true {
            let rest = buffer.count - position
            let length = buffer.withUnsafeBufferPointer { buffer -> Int? in
                guard rest > 0, let base = buffer.baseAddress,
                    let found = memchr(base + position, 0x0A, rest)
                else { return nil }
                return found - UnsafeMutableRawPointer(mutating: base + position)
            }
            guard let length = length ?? (isFinished && (rest > 0 || isSkipping) ? rest : nil) else {
                if rest > maxLineBytes {
                    isSkipping = true
                    position = buffer.count
                }
                return nil
            }
            let isTooLong = isSkipping || length > maxLineBytes
            let bytes = isTooLong ? [] : Array(buffer[position..<(position + length)])
            position = min(buffer.count, position + length + 1)
            isSkipping = false
            defer { line += 1 }
            if isTooLong { return Line(number: line, bytes: nil) }
            if bytes.contains(where: { $0 > 0x20 }) { return Line(number: line, bytes: bytes) }
        }
    }
}
