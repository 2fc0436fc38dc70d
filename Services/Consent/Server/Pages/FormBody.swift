import HTTPTypes
import ServiceKit

/// What a form of a page sends (`application/x-www-form-urlencoded`, WHATWG URL, section 5), read strictly: each name once,
/// whole percent signs, UTF-8 without NUL.
struct FormBody: Sendable {
    static let maxBytes = 64 << 10
    /// More than any page of ours has.
    static let mostFields = 600

    let fields: [String: String]

    init(_ request: ServiceRequest) async throws {
        try request.requireMediaType(["application/x-www-form-urlencoded"])
        if let coding = request.header(.contentEncoding), coding.lowercased() != "identity" {
            throw Problem.unsupportedMediaType("the body without a Content-Encoding")
        }
        try self.init(try await request.body(maxBytes: Self.maxBytes))
    }

    init(_ bytes: [UInt8]) throws(Problem) {
        var fields: [String: String] = [:]
        for part in bytes.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: true) {
            let pair = part.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let name = Self.decoded(pair[0]), let value = Self.decoded(pair[1]),
                !name.isEmpty
            else { throw .badRequest("the form must be name=value pairs in UTF-8, percent-encoded") }
            guard fields.updateValue(value, forKey: name) == nil, fields.count <= Self.mostFields else {
                throw .badRequest("the form must have each field once, and at most \(Self.mostFields)")
            }
        }
        self.fields = fields
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) -> String? {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "+"): result.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard index + 2 < bytes.endIndex, let high = digit(bytes[index + 1]),
                    let low = digit(bytes[index + 2])
                else { return nil }
                result.append(high << 4 | low)
                index += 2
            case let byte: result.append(byte)
            }
            index += 1
        }
        guard !result.contains(0) else { return nil }
        return String(validating: result, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
