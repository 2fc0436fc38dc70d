import Foundation

/// Reads a mail as a mail program would: enough of MIME (RFC 2045) to find its links.
struct MailFile {
    let facts: MailFacts

    init?(bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: "\n")
        guard let (headers, body) = Self.split(text), let to = headers["to"] else { return nil }
        let html = Self.html(headers: headers, body: body) ?? ""
        var links: [String] = []
        var pixel: String?
        for url in Self.attributes("href", in: html) where url.contains("/t/c/") { links.append(url) }
        for url in Self.attributes("src", in: html) where url.contains("/t/o/") { pixel = url }
        let unsubscribe = headers["list-unsubscribe"].flatMap { header in
            header.split(separator: ",").map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " <>\t"))
            }
            .first { $0.hasPrefix("http") }
        }
        facts = MailFacts(
            recipient: Self.address(to), subject: headers["subject"] ?? "", pixel: pixel, links: links,
            unsubscribe: unsubscribe)
    }

    /// Header and body; folded header lines are joined.
    private static func split(_ text: String) -> (headers: [String: String], body: String)? {
        guard let end = text.range(of: "\n\n") else { return nil }
        var headers: [String: String] = [:]
        let unfolded = text[..<end.lowerBound].replacing("\n ", with: " ").replacing("\n\t", with: " ")
        for line in unfolded.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] =
                line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return (headers, String(text[end.upperBound...]))
    }

    /// The HTML part, decoded.
    private static func html(headers: [String: String], body: String) -> String? {
        let type = headers["content-type"] ?? "text/plain"
        if type.lowercased().hasPrefix("multipart/") {
            guard let boundary = parameter("boundary", of: type) else { return nil }
            for part in body.components(separatedBy: "--" + boundary).dropFirst() {
                let trimmed = part.hasPrefix("\n") ? String(part.dropFirst()) : part
                if let (headers, body) = split(trimmed), let html = html(headers: headers, body: body) {
                    return html
                }
            }
            return nil
        }
        guard type.lowercased().hasPrefix("text/html") else { return nil }
        switch (headers["content-transfer-encoding"] ?? "").lowercased() {
        case "base64":
            return Data(base64Encoded: body, options: .ignoreUnknownCharacters).map {
                String(decoding: $0, as: UTF8.self)
            }
        case "quoted-printable": return quotedPrintable(body)
        default: return body
        }
    }

    private static func quotedPrintable(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "=") else {
                bytes.append(byte)
                continue
            }
            if rest.first == 0x0A {
                rest.removeFirst()
            } else if rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func parameter(_ name: String, of header: String) -> String? {
        for part in header.split(separator: ";").dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            if pair.count == 2, pair[0].lowercased() == name {
                return pair[1].trimmingCharacters(in: CharacterSet(charactersIn: "\""))
            }
        }
        return nil
    }

    private static func address(_ header: String) -> String {
        guard let open = header.lastIndex(of: "<"), let close = header.lastIndex(of: ">"), open < close else {
            return header.trimmingCharacters(in: .whitespaces)
        }
        return String(header[header.index(after: open)..<close])
    }

    private static func attributes(_ name: String, in html: String) -> [String] {
        var found: [String] = []
        for piece in html.components(separatedBy: name + "=\"").dropFirst() {
            guard let end = piece.firstIndex(of: "\"") else { continue }
            found.append(String(piece[..<end]).replacing("&amp;", with: "&"))
        }
        return found
    }
}

/// Watches the folder that delivery writes mails to.
struct OutboxFolder {
    let path: String
    private var known: Set<String>

    /// What is there already was read by somebody before.
    init(path: String) {
        self.path = path
        known = Set(Self.files(path))
    }

    /// The mails that have come since the last look, in the order of their names.
    mutating func newMails() -> [MailFacts] {
        var mails: [MailFacts] = []
        for name in Self.files(path) where known.insert(name).inserted {
            guard let data = FileManager.default.contents(atPath: path + "/" + name),
                let mail = MailFile(bytes: Array(data))
            else { continue }
            mails.append(mail.facts)
        }
        return mails
    }

    private static func files(_ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter {
            $0.hasSuffix(".eml") && !$0.hasPrefix(".")
        }.sorted()
    }
}
