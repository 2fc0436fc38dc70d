import Models

extension WebhookAuthentication {
    private static let schemes = ["hubspot", "zendesk", "shopify", "stripe", "hmac", "secret", "salesforce"]

    /// What a provider is authenticated by where a mapping says nothing; nil where it has to.
    static func usual(of provider: WebhookProvider) -> WebhookAuthentication? {
        switch provider {
        case .hubspot: .hubspot
        case .zendesk: .zendesk
        case .shopify: .shopify
        case .stripe: .stripe(StripeSignature())
        // A target must take the token in either place ("HTTP 1.1 Web Hooks for Event Delivery", section 3).
        case .cloudevents: .secret([.bearer, .query])
        case .salesforce, .json: nil
        }
    }

    /// Reads `{scheme: hmac, header: X-Signature, …}`.
    static func read(_ value: JSON, _ path: String, _ log: MappingLog) -> WebhookAuthentication? {
        let expected = "one of \(schemes.map { "`\($0)`" }.joined(separator: ", "))"
        guard var reader = MappingReader(value, path, log, expected: "an object with `scheme`"),
            let written = reader.required("scheme", expected: expected)
        else { return nil }
        defer { reader.finish() }
        switch written.string {
        case "hubspot": return .hubspot
        case "zendesk": return .zendesk
        case "shopify": return .shopify
        case "stripe":
            var signature = StripeSignature()
            if let header = header("header", &reader) { signature.header = header }
            if let tolerance = reader.optionalDuration("tolerance", in: tolerances) {
                signature.tolerance = tolerance
            }
            return .stripe(signature)
        case "hmac": return HMACSignature.read(&reader).map { .hmac($0) }
        case "secret": return .secret(places(&reader, usual: [.bearer]))
        case "salesforce":
            let organization = reader.text(
                "organizationId", expected: "the 18 characters of the organisation's id")
            let places = places(&reader, usual: SecretPlace.allCases)
            guard let organization else { return nil }
            return .salesforce(organizationID: organization, places)
        default:
            log.report(written, reader.path(to: "scheme"), expected: expected)
            return nil
        }
    }

    private static func places(_ reader: inout MappingReader, usual: [SecretPlace]) -> [SecretPlace] {
        let list = reader.optionalList("in", expected: "a list of places where the secret may be")
        let places = list.compactMap { value, path -> SecretPlace? in
            if let place = value.string.flatMap(SecretPlace.init) { return place }
            reader.log.report(
                value, path,
                expected: "one of " + SecretPlace.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "))
            return nil
        }
        return places.isEmpty ? usual : places
    }

    /// The name of a header, in lower case.
    static func header(_ key: String, _ reader: inout MappingReader) -> String? {
        guard let name = reader.optionalText(key, expected: "the name of a header") else { return nil }
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }) else {
            reader.log.report(.string(name), reader.path(to: key), expected: "the name of a header")
            return nil
        }
        return name.lowercased()
    }
}

extension HMACSignature {
    static func read(_ reader: inout MappingReader) -> HMACSignature? {
        let header = WebhookAuthentication.header("header", &reader)
        if header == nil, !reader.has("header") {
            reader.log.report(
                reader.path, expected: "`header`: the header with the signature", found: "no `header`")
        }
        var signature = HMACSignature(header: header ?? "")
        signature.algorithm = reader.optionalChoice("algorithm", as: Algorithm.self) ?? .sha256
        signature.encoding = reader.optionalChoice("encoding", as: Encoding.self) ?? .hex
        signature.prefix = reader.optionalText("prefix", expected: "a text such as `sha256=`") ?? ""
        signature.timestampHeader = WebhookAuthentication.header("timestampHeader", &reader)
        signature.timestampFormat = reader.optionalChoice("timestampFormat", as: TimeFormat.self) ?? .seconds
        if let tolerance = reader.optionalDuration("tolerance", in: WebhookAuthentication.tolerances) {
            signature.tolerance = tolerance
        }
        if let window = reader.optionalDuration("retryWindow", in: .seconds(60) ... .seconds(7 * 86_400)) {
            signature.retryWindow = window
        }
        let isTimed = signature.timestampHeader != nil
        signature.resends = reader.optionalChoice("resends", as: Resends.self) ?? (isTimed ? .anew : .same)
        let usual = isTimed ? "{timestamp}.{body}" : "{body}"
        let written = reader.optionalText("signed", expected: "what is signed, such as `\(usual)`") ?? usual
        guard let parts = parts(written) else {
            reader.log.report(
                .string(written), reader.path(to: "signed"),
                expected: "a text with {body}, {timestamp}, {method}, {uri} or {header:name}")
            return nil
        }
        signature.signed = parts
        if !parts.contains(.body) {
            reader.log.report(
                .string(written), reader.path(to: "signed"), expected: "{body} in what is signed")
        }
        // A time that is not signed may be any time.
        if isTimed != parts.contains(.timestamp) {
            reader.log.report(
                .string(written), reader.path(to: "signed"),
                expected: isTimed
                    ? "{timestamp} in what is signed" : "`timestampHeader`, where {timestamp} is")
        }
        return header == nil ? nil : signature
    }

    /// `{timestamp}.{body}` taken apart; nil where a brace is not closed or holds something unknown.
    static func parts(_ text: String) -> [Part]? {
        var parts: [Part] = []
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
            guard let close = rest[open...].firstIndex(of: "}") else { return nil }
            let name = rest[rest.index(after: open)..<close]
            switch name {
            case "body": parts.append(.body)
            case "timestamp": parts.append(.timestamp)
            case "method": parts.append(.method)
            case "uri": parts.append(.uri)
            default:
                guard name.hasPrefix("header:"), name.count > "header:".count else { return nil }
                parts.append(.header(name.dropFirst("header:".count).lowercased()))
            }
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        return parts
    }
}
