/// The head of an HTTP/1.1 request that can be read in one way only (RFC 9112): so strict that what it calls the end of
/// the request is the end for every other reader as well. What is written in any other way is left to the server's own
/// parser.
struct PlainHead {
    enum Reading {
        /// More bytes are needed.
        case incomplete
        /// Nothing is said about it.
        case irregular
        case head(PlainHead)
    }

    /// Bytes of the head with its empty line.
    var size = 0
    /// Bytes of the body behind it.
    var bodySize = 0
    var isPost = false
    var path = ""
    var authorization: String?
    var contentType: String?
    var traceparent: String?
    var forwardedFor: String?
    var globalPrivacyControl = false
    /// Whether nothing in it asks for more than an answer to its body as it stands.
    var isPlain = true

    /// Longer heads are irregular.
    static let largest = 16 << 10

    static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        var reader = PlainHeadReader(bytes: bytes.prefix(largest))
        return reader.read()
    }
}

private struct PlainHeadReader {
    let bytes: Slice<UnsafeRawBufferPointer>
    private var head = PlainHead()
    private var length: Int?
    private var seen: Set<Field> = []

    /// The fields that mean something here. Each may come once.
    private enum Field: String, CaseIterable {
        case authorization, connection, expect, host, traceparent
        case contentEncoding = "content-encoding"
        case contentLength = "content-length"
        case contentType = "content-type"
        case forwardedFor = "x-forwarded-for"
        case globalPrivacyControl = "sec-gpc"
        case transferEncoding = "transfer-encoding"
        case upgrade

        static let byName = Dictionary(uniqueKeysWithValues: allCases.map { (Array($0.rawValue.utf8), $0) })
        static let longest = allCases.map(\.rawValue.utf8.count).max() ?? 0
    }

    init(bytes: Slice<UnsafeRawBufferPointer>) {
        self.bytes = bytes
    }

    mutating func read() -> PlainHead.Reading {
        var start = bytes.startIndex
        var isFirst = true
        while let end = lineEnd(from: start) {
            let line = bytes[start..<end]
            start = end + 2
            if isFirst {
                guard readRequestLine(line) else { return .irregular }
                isFirst = false
            } else if line.isEmpty {
                return finish(at: start)
            } else if !readField(line) {
                return .irregular
            }
        }
        return bytes.count >= PlainHead.largest ? .irregular : .incomplete
    }

    /// Where the line ends in CR LF. A lone CR or LF makes the line contain a control character, which is refused.
    private func lineEnd(from start: Int) -> Int? {
        var index = start
        while index + 1 < bytes.endIndex {
            if bytes[index] == 0x0D, bytes[index + 1] == 0x0A { return index }
            index += 1
        }
        return nil
    }

    private mutating func finish(at end: Int) -> PlainHead.Reading {
        guard seen.contains(.host) else { return .irregular }
        head.size = end - bytes.startIndex
        head.bodySize = length ?? 0
        return .head(head)
    }

    /// `POST /v1/track HTTP/1.1`
    private mutating func readRequestLine(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2].elementsEqual("HTTP/1.1".utf8) else { return false }
        let method = parts[0]
        guard !method.isEmpty, method.allSatisfy({ (0x41...0x5A).contains($0) }),
            !method.elementsEqual("CONNECT".utf8), parts[1].first == UInt8(ascii: "/"),
            parts[1].allSatisfy({ (0x21...0x7E).contains($0) })
        else { return false }
        head.isPost = method.elementsEqual("POST".utf8)
        head.path = String(decoding: parts[1], as: UTF8.self)
        return true
    }

    private mutating func readField(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy(Self.isTokenByte)
        else { return false }
        var value = line[(colon + 1)...]
        while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
        // Parsers differ in whether they take white space at the end for a part of the value.
        guard value.last != 0x20, value.last != 0x09 else { return false }
        guard value.allSatisfy({ $0 == 0x09 || (0x20...0x7E).contains($0) || $0 >= 0x80 }) else {
            return false
        }
        let name = line[..<colon]
        guard name.count <= Field.longest, let field = Field.byName[name.map(Self.lowercased)] else {
            return true
        }
        guard seen.insert(field).inserted else { return false }
        return take(field, value)
    }

    private mutating func take(_ field: Field, _ value: Slice<UnsafeRawBufferPointer>) -> Bool {
        switch field {
        case .host: break
        case .authorization:
            head.authorization = String(validating: value, as: UTF8.self)
            return head.authorization != nil
        case .contentType:
            head.contentType = String(validating: value, as: UTF8.self)
            return head.contentType != nil
        case .traceparent: head.traceparent = String(validating: value, as: UTF8.self)
        case .forwardedFor: head.forwardedFor = String(validating: value, as: UTF8.self)
        case .globalPrivacyControl: head.globalPrivacyControl = value.elementsEqual("1".utf8)
        case .contentLength:
            guard (1...10).contains(value.count), value.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return false
            }
            length = value.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        case .connection:
            switch String(decoding: value, as: UTF8.self).lowercased() {
            case "keep-alive": break
            case "close": head.isPlain = false
            default: return false
            }
        case .contentEncoding, .expect: head.isPlain = false
        // Where the body ends, or what comes after it, is for the parser to say.
        case .transferEncoding, .upgrade: return false
        }
        return true
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
    }

    /// RFC 9110, section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}
