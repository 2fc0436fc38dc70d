extension LiquidFilter {
    static let encodingFilters: [String: LiquidFilter] = [
        "url_encode": .text { text in
            var result: [UInt8] = []
            for byte in text.utf8 {
                if byte.isURLUnreserved {
                    result.append(byte)
                } else if byte == UInt8(ascii: " ") {
                    result.append(UInt8(ascii: "+"))
                } else {
                    result += "%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8
                }
            }
            return String(decoding: result, as: UTF8.self)
        },
        "url_decode": LiquidFilter { (value, _) throws(LiquidProblem) in .string(try urlDecoded(value.text))
        },
        "base64_encode": .text { Base64.encode(Array($0.utf8)) },
        "base64_decode": LiquidFilter { (value, _) throws(LiquidProblem) in
            .string(try base64Decoded(value.text))
        },
        "base64_url_safe_encode": .text { Base64.encodeForURL(Array($0.utf8), padded: true) },
        "base64_url_safe_decode": LiquidFilter { (value, _) throws(LiquidProblem) in
            .string(try base64Decoded(value.text))
        },
    ]

    private static func base64Decoded(_ text: String) throws(LiquidProblem) -> String {
        guard let bytes = Base64.decode(text), let decoded = String(validating: bytes, as: UTF8.self) else {
            throw LiquidProblem(message: "this is no text in Base64", expected: "Base64")
        }
        return decoded
    }

    private static func urlDecoded(_ text: String) throws(LiquidProblem) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let byte = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                result.append(byte)
                index += 3
            } else {
                result.append(bytes[index] == UInt8(ascii: "+") ? UInt8(ascii: " ") : bytes[index])
                index += 1
            }
        }
        guard let decoded = String(validating: result, as: UTF8.self) else {
            throw LiquidProblem(message: "the decoded text isn't UTF-8", expected: "percent-encoded UTF-8")
        }
        return decoded
    }
}

extension UInt8 {
    /// RFC 3986, 2.3.
    var isURLUnreserved: Bool {
        isLiquidDigit || (65...90).contains(self) || (97...122).contains(self)
            || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~")].contains(self)
    }
}
