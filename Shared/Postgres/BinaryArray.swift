package import FoundationEssentials
package import Models

/// A value that may be an element of an array in PostgreSQL's binary form: big-endian, as the type's `send` function
/// writes it (PostgreSQL documentation, 55.2.3; `array_send`, `timestamptz_send`).
package protocol PostgresBinaryElement: Sendable {
    /// The object ids of the type and of its array type (`pg_type.dat`).
    static var postgresTypes: (element: UInt32, array: UInt32) { get }
    /// Appends the value's bytes without their length; false is NULL.
    func appendBinary(to bytes: inout [UInt8]) -> Bool
}

enum BinaryArray {
    static func parameter<Element: PostgresBinaryElement>(_ elements: [Element]) -> SQLParameter {
        let types = Element.postgresTypes
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20 + elements.count * 12)
        bytes.append(bigEndian: Int32(elements.isEmpty ? 0 : 1))
        bytes.append(bigEndian: Int32(1))
        bytes.append(bigEndian: types.element)
        if !elements.isEmpty {
            bytes.append(bigEndian: Int32(elements.count))
            bytes.append(bigEndian: Int32(1))
        }
        for element in elements {
            let place = bytes.count
            bytes.append(bigEndian: Int32(-1))
            guard element.appendBinary(to: &bytes) else { continue }
            let length = Int32(bytes.count - place - 4)
            withUnsafeBytes(of: length.bigEndian) { length in
                for (index, byte) in length.enumerated() { bytes[place + index] = byte }
            }
        }
        return .binary(bytes, type: types.array)
    }
}

extension [UInt8] {
    fileprivate mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}

extension Optional: PostgresBinaryElement where Wrapped: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { Wrapped.postgresTypes }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool { self?.appendBinary(to: &bytes) ?? false }
}

extension Int16: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (21, 1005) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(bigEndian: self)
        return true
    }
}

extension Int64: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (20, 1016) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(bigEndian: self)
        return true
    }
}

extension Bool: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (16, 1000) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(self ? 1 : 0)
        return true
    }
}

/// A `bytea`.
extension Data: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (17, 1001) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(contentsOf: self)
        return true
    }
}

/// A `jsonb`: the version of its binary form, then the text (`jsonb_recv`).
extension JSON: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (3802, 3807) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(1)
        write(into: &bytes)
        return true
    }
}

extension String: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (25, 1009) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(contentsOf: utf8)
        return true
    }
}

/// Text that is already bytes. The server refuses what is not UTF-8.
package struct UTF8Text: PostgresBinaryElement {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package static var postgresTypes: (element: UInt32, array: UInt32) { String.postgresTypes }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        bytes.append(contentsOf: self.bytes)
        return true
    }
}

extension UUID: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (2950, 2951) }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        withUnsafeBytes(of: uuid) { bytes.append(contentsOf: $0) }
        return true
    }
}

extension TypedID: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { UUID.postgresTypes }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool { uuid.appendBinary(to: &bytes) }
}

extension Shard: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { Int16.postgresTypes }
    package func appendBinary(to bytes: inout [UInt8]) -> Bool { number.appendBinary(to: &bytes) }
}

extension Instant: PostgresBinaryElement {
    package static var postgresTypes: (element: UInt32, array: UInt32) { (1184, 1185) }

    /// Microseconds since 2000; what a `timestamptz` can't hold becomes its infinity.
    package func appendBinary(to bytes: inout [UInt8]) -> Bool {
        let (sinceEpoch, under) = milliseconds.subtractingReportingOverflow(946_684_800_000)
        let (microseconds, over) = sinceEpoch.multipliedReportingOverflow(by: 1000)
        bytes.append(
            bigEndian: under || over ? (milliseconds < 0 ? Int64.min : Int64.max) : microseconds)
        return true
    }
}
