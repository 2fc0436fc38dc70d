/// The links of a mail, made to pass through the click counter, and the pixel that counts an opening.
package struct TrackedLinks: Hashable, Sendable {
    package var html: String
    /// What each key stands for.
    package var urls: [LinkKey: String]

    /// Rewrites `href="http(s)://…"` of every `<a>` but those that go to `untouched`, whatever their query and fragment, or
    /// hold the secret that one of these ends with: a page below it, or another address of which it is a part. Puts the
    /// pixel before `</body>`, or at the end.
    package init(
        html: String, untouched: Set<String> = [], pixelURL: String?, clickURL: (LinkKey) -> String
    ) {
        let bytes = Array(html.utf8)
        let secrets = untouched.map {
            String($0[($0.lastIndex(of: "/").map($0.index(after:)) ?? $0.startIndex)...])
        }
        .filter { $0.utf8.count >= 16 }
        var (result, urls, copied) = ([UInt8](), [LinkKey: String](), 0)
        var index = 0
        while let tag = Self.anchor(in: bytes, from: index) {
            index = tag.upperBound
            guard let value = Self.hrefValue(in: bytes, tag) else { continue }
            let url = String(decoding: bytes[value], as: UTF8.self).htmlUnescaped
                .trimmed(start: true, end: true).withoutControls
            guard url.isWebAddress, !untouched.contains(String(url.prefix { $0 != "?" && $0 != "#" })),
                !secrets.contains(where: url.contains)
            else { continue }
            let key = LinkKey(url)
            urls[key] = url
            result += bytes[copied..<value.lowerBound]
            result += clickURL(key).htmlEscaped.utf8
            copied = value.upperBound
        }
        result += bytes[copied...]
        if let pixelURL {
            let pixel = "<img src=\"\(pixelURL.htmlEscaped)\" width=\"1\" height=\"1\" alt=\"\">"
            let end = Self.lastBodyEnd(in: result) ?? result.count
            result.insert(contentsOf: Array(pixel.utf8), at: end)
        }
        (self.html, self.urls) = (String(decoding: result, as: UTF8.self), urls)
    }

    private static func lower(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }

    /// The inside of the next `<a …>`.
    private static func anchor(in bytes: [UInt8], from start: Int) -> Range<Int>? {
        var index = start
        while index + 2 < bytes.count {
            if bytes[index] == UInt8(ascii: "<"), bytes[index + 1] == UInt8(ascii: "!"),
                bytes[index...].starts(with: "<!--".utf8)
            {
                index = bytes.firstRange(of: Array("-->".utf8), from: index)?.upperBound ?? bytes.count
                continue
            }
            if bytes[index] == UInt8(ascii: "<"), lower(bytes[index + 1]) == UInt8(ascii: "a"),
                bytes[index + 2].isLiquidSpace
            {
                var end = index + 2
                var quote: UInt8?
                while end < bytes.count {
                    let byte = bytes[end]
                    if let open = quote {
                        if byte == open { quote = nil }
                    } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                        quote = byte
                    } else if byte == UInt8(ascii: ">") {
                        return (index + 2)..<end
                    }
                    end += 1
                }
                return nil
            }
            index += 1
        }
        return nil
    }

    /// Where the value of `href` stands between its quotes.
    private static func hrefValue(in bytes: [UInt8], _ tag: Range<Int>) -> Range<Int>? {
        var index = tag.lowerBound
        while index < tag.upperBound {
            while index < tag.upperBound, bytes[index].isLiquidSpace || bytes[index] == UInt8(ascii: "/") {
                index += 1
            }
            let nameStart = index
            while index < tag.upperBound, !bytes[index].isLiquidSpace, bytes[index] != UInt8(ascii: "=") {
                index += 1
            }
            let name = bytes[nameStart..<index].map(lower)
            while index < tag.upperBound, bytes[index].isLiquidSpace { index += 1 }
            guard index < tag.upperBound, bytes[index] == UInt8(ascii: "=") else { continue }
            index += 1
            while index < tag.upperBound, bytes[index].isLiquidSpace { index += 1 }
            guard index < tag.upperBound else { return nil }
            let quote = bytes[index]
            if quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
                guard let close = bytes[(index + 1)..<tag.upperBound].firstIndex(of: quote) else {
                    return nil
                }
                if name.elementsEqual("href".utf8) { return (index + 1)..<close }
                index = close + 1
            } else {
                // Without quotes there is no room for another address; such a link stays as it is.
                while index < tag.upperBound, !bytes[index].isLiquidSpace { index += 1 }
            }
        }
        return nil
    }

    private static func lastBodyEnd(in bytes: [UInt8]) -> Int? {
        let wanted = Array("</body".utf8)
        var index = bytes.count - wanted.count
        while index >= 0 {
            if bytes[index..<index + wanted.count].map(lower) == wanted { return index }
            index -= 1
        }
        return nil
    }
}

extension String {
    fileprivate var isWebAddress: Bool {
        let start = prefix(8).lowercased()
        return start.hasPrefix("http://") || start.hasPrefix("https://")
    }

    /// Undoes the character references that a web address in an attribute needs.
    fileprivate var htmlUnescaped: String {
        var result = ""
        var rest = self[...]
        while let ampersand = rest.firstIndex(of: "&") {
            result += rest[..<ampersand]
            rest = rest[ampersand...]
            if let (name, text) = [
                ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"),
                ("&apos;", "'"),
            ].first(where: { rest.hasPrefix($0.0) }) {
                result += text
                rest = rest.dropFirst(name.count)
            } else {
                result += "&"
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }
}
