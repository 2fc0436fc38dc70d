import Glibc

/// One record of a CSV file: its fields as bytes, and the line it starts on.
package struct CSVRecord: Sendable, Equatable {
    /// The physical line of the record's first byte, from 1.
    package let line: Int
    private let bytes: [UInt8]
    /// Where each field is in `bytes`.
    private let ranges: [Range<Int>]

    init(line: Int, bytes: [UInt8], ranges: [Range<Int>]) {
        self.line = line
        self.bytes = bytes
        self.ranges = ranges
    }

    package var count: Int { ranges.count }

    /// The bytes of all fields together.
    var byteCount: Int { bytes.count }

    /// A field as text; nil when it is not UTF-8 or holds a NUL, which no JSON store can keep.
    package func text(_ index: Int) -> String? {
        withField(index) { field in
            guard !Self.contains(field, 0) else { return nil }
            // Nearly all fields are ASCII, and need no more checking: a fifth of reading a file was that.
            if Self.isASCII(field) { return String(decoding: field, as: UTF8.self) }
            return String(validating: field, as: UTF8.self)
        }
    }

    /// Whether the field has these bytes.
    func field(_ index: Int, equals other: [UInt8]) -> Bool {
        withField(index) { field in
            field.count == other.count
                && other.withUnsafeBufferPointer { other in
                    guard let left = field.baseAddress, let right = other.baseAddress else { return true }
                    return memcmp(left, right, field.count) == 0
                }
        }
    }

    /// The bytes of a field.
    func field(_ index: Int) -> [UInt8] { withField(index) { Array($0) } }

    private func withField<T>(_ index: Int, _ body: (UnsafeBufferPointer<UInt8>) -> T) -> T {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[ranges[index]])) }
    }

    private static func isASCII(_ field: UnsafeBufferPointer<UInt8>) -> Bool {
        var union: UInt8 = 0
        for byte in field { union |= byte }
        return union < 0x80
    }

    private static func contains(_ field: UnsafeBufferPointer<UInt8>, _ byte: Int32) -> Bool {
        guard let base = field.baseAddress else { return false }
        return memchr(base, byte, field.count) != nil
    }

    /// Whether the line was blank: RFC 4180 knows no such record, and every spreadsheet writes one.
    var isBlank: Bool { ranges.count == 1 && ranges[0].isEmpty }

    /// The fields as text, for messages and headers.
    package var texts: [String] { (0..<count).map { String(decoding: field($0), as: UTF8.self) } }
}
